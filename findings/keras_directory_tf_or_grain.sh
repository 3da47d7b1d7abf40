#!/usr/bin/env bash
# keras.utils.image_dataset_from_directory(format="tf") and format="grain" read other pixels from the same files.
#
# Versions: keras 3.15.1 (TensorFlow backend), tensorflow 2.21.0, grain 0.2.18, pillow 13.0.0, numpy 2.4.6.
# Seen: no error and no warning, and for these valid files
#   - palette BMP (red at index 2): "tf" gives the index, (2, 2, 2); "grain" gives the colour.
#   - CMYK JPEG without ink and without the optional Adobe marker (APP14): "tf" gives black, "grain" white. Both give white
#     when the marker is there: TensorFlow takes its absence for the other polarity, Pillow does not.
#   - GIF whose only frame fills the left half of its canvas: "tf" stretches that frame over the image, "grain" keeps the
#     canvas and leaves the right half black.
#   - 16-bit grey PNG of a quarter of full scale: "tf" keeps the upper byte, 64. "grain" clips to 255 as RGB, and as
#     grayscale returns 16384, so that a Rescaling(1 / 255) behind it gives 64 instead of 0.25.
#   - 1-bit PNG as RGBA: "tf" gives alpha 1, "grain" 255.
#   - RGB JPEG, of which nothing is unusual: most values differ, by up to 10 levels on noise, since TensorFlow takes the
#     fast and Pillow the accurate inverse cosine transform.
# Expected: `format` chooses the class of the returned dataset, as its documentation says, and not the decoder.
# Instead: write the data set once as 8-bit RGB PNG, with one decoder that was checked on it, and load that; and never train
# with one format and evaluate or serve with the other.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q tensorflow==2.21.0 keras==3.15.1 grain==0.2.18 pillow==13.0.0 numpy==2.4.6
cat > "$tmp/run.py" <<'PY'
import io
import pathlib
import struct
import sys
import tempfile

import keras
import numpy as np
from PIL import Image

SIZE = 16


def encode(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def without_adobe_marker(jpeg):
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2:start + 4], "big"):]


def with_canvas(gif, width, height):
    return gif[:6] + struct.pack("<HH", width, height) + gif[10:]


def load(name, file, color_mode):
    """The image as the two formats give it, float32 [SIZE, SIZE, channels] each."""
    images = []
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, name).write_bytes(file)
        for dataset_format in ("tf", "grain"):
            dataset = keras.utils.image_dataset_from_directory(
                folder, labels=None, image_size=(SIZE, SIZE), batch_size=1, color_mode=color_mode, verbose=False,
                format=dataset_format)
            images.append(np.asarray(next(iter(dataset)))[0])
    return images


def expect(what, holds):
    print("as described:" if holds else "CHANGED:", what)
    if not holds:
        sys.exit(1)


palette = Image.new("P", (SIZE, SIZE), 2)
palette.putpalette([0, 0, 0, 0, 255, 0, 255, 0, 0])
cmyk = encode(Image.new("CMYK", (SIZE, SIZE), (0, 0, 0, 0)), "JPEG")
half_frame = Image.new("L", (SIZE // 2, SIZE), 255)
half_frame.putpixel((0, 0), 0)
quarter = encode(Image.fromarray(np.full((SIZE, SIZE), 0x4000, np.uint16)), "PNG")
cases = [  # name, file, color_mode, the pixel at the upper right by "tf" and by "grain"
    ("palette.bmp", encode(palette, "BMP"), "rgb", [2, 2, 2], [255, 0, 0]),
    ("cmyk_with_marker.jpg", cmyk, "rgb", [255] * 3, [255] * 3),
    ("cmyk_without_marker.jpg", without_adobe_marker(cmyk), "rgb", [0] * 3, [255] * 3),
    ("half_frame.gif", with_canvas(encode(half_frame, "GIF"), SIZE, SIZE), "rgb", [255] * 3, [0] * 3),
    ("grey_16_bits.png", quarter, "rgb", [64] * 3, [255] * 3),
    ("grey_16_bits.png", quarter, "grayscale", [64], [16384]),
    ("1_bit.png", encode(Image.new("1", (SIZE, SIZE), 1), "PNG"), "rgba", [255, 255, 255, 1], [255] * 4),
]
for name, file, color_mode, by_tf, by_grain in cases:
    a, b = (image[0, -1].tolist() for image in load(name, file, color_mode))
    expect(f"{name} as {color_mode}: tf {a}, grain {b}", (a, b) == (by_tf, by_grain))

noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8))
a, b = load("rgb.jpg", encode(noise.resize((SIZE, SIZE), Image.Resampling.BICUBIC), "JPEG", quality=95), "rgb")
expect(f"rgb.jpg: {np.mean(a != b):.0%} of the values differ, by up to {np.abs(a - b).max():.0f}", 0 < np.abs(a - b).max() < 20)
PY
KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 "$tmp/venv/bin/python" "$tmp/run.py"
