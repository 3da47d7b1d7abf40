#!/usr/bin/env bash
# Pillow rotates, blends and measures 16-bit grey images as garbage, without an error.
#
# Versions: pillow 13.0.0, numpy 2.4.6.
# Seen for mode "I;16", which is what Pillow opens a 16-bit grey PNG as:
#   - rotate and transform with BILINEAR or BICUBIC return numbers below 256 for an image of up to 63,500, black to the eye.
#     NEAREST, a rotation by 90 degrees and resize with every filter are right, so a test with those passes.
#   - histogram and ImageStat count something else than the values: mean 95 where it is 32,000. getextrema is right.
#   - Image.composite over black by a mask of one half gives 0 where the image is brightest, not half of it.
#   - convert("L") clips at 255 instead of dividing by 257; convert("I;16") of an 8-bit image leaves white at 255.
#   - thumbnail raises "image has wrong mode" once the image is to shrink 4 times or more; resize to that size works.
# Expected: right values, or the ValueError that filter, blend and ImageEnhance raise for this mode.
# Instead: convert("F") before any geometry, and round and clip to uint16 in NumPy after it. Take statistics in NumPy. To get
# 8 bits, divide by 257 in NumPy. Pass thumbnail reducing_gap=None.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
cat > "$tmp/run.py" <<'PY'
import io
import sys

import numpy as np
from PIL import Image, ImageStat

Resampling = Image.Resampling


def expect(what, holds):
    print("as described:" if holds else "CHANGED:", what)
    if not holds:
        sys.exit(1)


ramp = np.tile(np.arange(64, dtype=np.uint16) * 1000 + 500, (64, 1))
file = io.BytesIO()
Image.fromarray(ramp).save(file, "PNG")
image = Image.open(file)
image.load()
expect(f"a 16-bit grey PNG opens as {image.mode}, values up to {np.array(image).max()}", np.array_equal(np.array(image), ramp))


def rotated(source, angle, filter):
    return np.array(source.rotate(angle, filter)).astype(float)


for filter in (Resampling.NEAREST, Resampling.BILINEAR, Resampling.BICUBIC):
    seen, right = rotated(image, 1, filter), rotated(image.convert("F"), 1, filter)
    expect(f"rotate(1, {filter.name}): largest value {seen.max():.0f}, by way of mode F {right.max():.0f}",
           right.max() > 60000 and ((seen != right).sum() <= 1 if filter == Resampling.NEAREST else seen.max() < 256))
expect("rotate(90, BILINEAR) is right", np.array_equal(rotated(image, 90, Resampling.BILINEAR), np.rot90(ramp)))
half_a_pixel = Image.Transform.AFFINE, (1, 0, 0.5, 0, 1, 0), Resampling.BILINEAR
seen, right = (np.array(source.transform((64, 64), *half_a_pixel))[32, :4].tolist() for source in (image, image.convert("F")))
expect(f"a shift by half a pixel gives {seen}, by way of mode F {right}", max(seen) < 256 and right == [1000, 2000, 3000, 4000])
for filter in (Resampling.BOX, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS):
    error = np.abs(np.array(image.resize((16, 16), filter)).astype(float) - np.array(image.convert("F").resize((16, 16), filter)))
    expect(f"resize with {filter.name} is right to {error.max():.2f}", error.max() < 1.01)

expect(f"mean by ImageStat {ImageStat.Stat(image).mean[0]:.1f}, by NumPy {ramp.mean():.1f}",
       ImageStat.Stat(image).mean[0] < 256 and ramp.mean() == 32000)
expect(f"getextrema is right: {image.getextrema()}", image.getextrema() == (500, 63500))

black, half = Image.new("I;16", image.size, 0), Image.new("L", image.size, 128)
seen, right = Image.composite(image, black, half).getpixel((63, 0)), 63500 * 128 / 255
expect(f"composite over black by one half: {seen} for {right:.0f}", abs(seen - right) > 10000)

expect("convert('L') clips", np.array(image.convert("L"))[0, 1:3].tolist() == [255, 255])
expect("convert('I;16') does not scale", Image.new("L", (1, 1), 255).convert("I;16").getpixel((0, 0)) == 255)

for size, options, works in (((30, 30), {}, True), ((16, 16), {}, False), ((16, 16), dict(reducing_gap=None), True)):
    try:
        image.copy().thumbnail(size, **options)
        seen = "works"
    except ValueError as error:
        seen = f"raises: {error}"
    expect(f"thumbnail({size}, {options}) {seen}", (seen == "works") == works)
PY
"$tmp/venv/bin/python" "$tmp/run.py"
