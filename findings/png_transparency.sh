#!/usr/bin/env bash
# Neither TensorFlow nor Pillow reads the transparency of every PNG: each is wrong where the other is right.
#
# Versions: tensorflow 2.21.0, pillow 13.0.0, numpy 2.4.6.
# Seen:
#   - tf.io.decode_png(channels=4) gives an opaque image of 1, 2 or 4 bits a sample the alpha 1, 3 or 15, for grey and for
#     palette images. A scan composited by alpha / 255 all but vanishes. An image with a tRNS chunk gets the right alpha.
#   - Pillow's convert("RGBA") ignores the tRNS chunk of a grey image of 2 or 4 bits (unless the key is 0) and of an RGB
#     image of 16 bits: it scales the samples to 8 bits, and compares them with the key that it has not scaled.
# Expected: alpha 255 where nothing is transparent, 0 where the tRNS chunk says so, whatever the bit depth.
# Instead:
#   - TensorFlow: where the file has no tRNS chunk, multiply alpha by 255 / (2^bits - 1); `bits` is byte 24 of the file.
#   - Pillow: scale `image.info["transparency"]` in the same way before the conversion of a grey image. A 16-bit RGB key
#     cannot be scaled (other colours fall on the same 8 bits): read such a file with TensorFlow.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q tensorflow==2.21.0 pillow==13.0.0 numpy==2.4.6
cat > "$tmp/run.py" <<'PY'
import io
import struct
import sys
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image

GREY, RGB, PALETTE = 0, 2, 3


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, bits, color_type, row, *extra):
    header = struct.pack(">IIBBBBB", width, 1, bits, color_type, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + data


def tensorflow_alpha(file):
    return tf.io.decode_png(file, channels=4).numpy()[0, :, 3].tolist()


def pillow_alpha(file, scale=1):
    image = Image.open(io.BytesIO(file))
    if scale != 1:
        image.info["transparency"] *= scale
    return np.array(image.convert("RGBA"))[0, :, 3].tolist()


def expect(what, holds):
    print("as described:" if holds else "CHANGED:", what)
    if not holds:
        sys.exit(1)


print("opaque images of two pixels, alpha by TensorFlow and by Pillow")
colors = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
rows = {1: b"\x40", 2: b"\x10", 4: b"\x01", 8: b"\x00\x01"}  # samples 0 and 1
opaque = {}
for bits, row in rows.items():
    for kind, file in (("grey", png(2, bits, GREY, row)), ("palette", png(2, bits, PALETTE, row, colors))):
        opaque[bits, kind] = tensorflow_alpha(file), pillow_alpha(file), file
        print(f"  {bits} bits, {kind:8}{opaque[bits, kind][0]!s:12}{opaque[bits, kind][1]}")
for (bits, kind), (by_tensorflow, by_pillow, file) in opaque.items():
    top = 2 ** bits - 1
    expect(f"{bits} bits, {kind}: alpha {top} by TensorFlow, 255 by Pillow", by_tensorflow == [top] * 2 and by_pillow == [255] * 2)
    expect(f"  the remedy gives 255 (byte 24 is {file[24]})", [a * 255 // (2 ** file[24] - 1) for a in by_tensorflow] == [255] * 2)

print("grey images with samples 0 and 1, where a tRNS chunk makes 1 transparent")
key = chunk(b"tRNS", struct.pack(">H", 1))
for bits in (2, 4, 8):
    file = png(2, bits, GREY, rows[bits], key)
    print(f"  {bits} bits: TensorFlow {tensorflow_alpha(file)}, Pillow {pillow_alpha(file)}")
    expect(f"{bits} bits: TensorFlow is right", tensorflow_alpha(file) == [255, 0])
    expect(f"{bits} bits: Pillow is {'right' if bits == 8 else 'wrong'}", pillow_alpha(file) == ([255, 0] if bits == 8 else [255, 255]))
    expect("  with the key scaled, Pillow is right", pillow_alpha(file, 255 // (2 ** bits - 1)) == [255, 0])

print("RGB of 16 bits: the transparent colour, and one that has the same upper bytes")
pixels = struct.pack(">6H", 0x1200, 0x3400, 0x5600, 0x12FF, 0x34FF, 0x56FF)
file = png(2, 16, RGB, pixels, chunk(b"tRNS", pixels[:6]))
print(f"  TensorFlow {tensorflow_alpha(file)}, Pillow {pillow_alpha(file)}")
expect("TensorFlow is right, Pillow calls both opaque", tensorflow_alpha(file) == [0, 255] and pillow_alpha(file) == [255, 255])
PY
TF_CPP_MIN_LOG_LEVEL=3 "$tmp/venv/bin/python" "$tmp/run.py"
