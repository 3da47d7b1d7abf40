#!/usr/bin/env bash
# tf.image.convert_image_dtype turns white into black for bfloat16, and all greys into black for float16 to uint16.
#
# Versions: tensorflow 2.21.0, numpy 2.4.6; x86-64.
# Seen:
#   - bfloat16 to uint8: 1.0 becomes 0, while 0.996 becomes 255. The factor 255.5 is rounded to 256 in bfloat16, and the cast
#     wraps. float16 and float32 are right. Under jit_compile=True white is 255, since XLA's cast saturates.
#   - float16 to uint16: every grey becomes 0, as the factor 65535.5 is inf in float16. saturate=True makes them all 65504.
#   - float32 to int32: 1.0 becomes the smallest integer, -2^31; to uint32: 0.
#   - uint8 to uint16: white becomes 65280, not 65535 (a shift by 8 bits), so the way over uint16 to float32 ends at 0.9961.
# Expected: 0 and 1 are the ends of every type. The documentation asks for floats in [0, 1), without 1; but the function makes
# 1.0 of uint8 white in float32, takes it back, and a sigmoid in bfloat16 reaches 1. The uint16 fault is inside [0, 1).
# Instead: cast to float32 first; pass saturate=True for 32-bit integers and bfloat16; multiply 8-bit values by 257.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q tensorflow==2.21.0 numpy==2.4.6
cat > "$tmp/run.py" <<'PY'
import sys

import tensorflow as tf


def expect(what, holds):
    print("as described:" if holds else "CHANGED:", what)
    if not holds:
        sys.exit(1)


def convert(values, source, target, **options):
    return tf.image.convert_image_dtype(tf.constant(values, source), target, **options).numpy().tolist()


def check(values, source, target, result, **options):
    seen = convert(values, source, target, **options)
    expect(f"{values} from {source} to {target}, {options}: {seen}", seen == result)


check([0, 0.5, 0.996, 1], "bfloat16", "uint8", [0, 128, 255, 0])
check([0, 0.5, 0.996, 1], "bfloat16", "uint8", [0, 128, 255, 255], saturate=True)
check([0, 0.5, 0.996, 1], "float16", "uint8", [0, 127, 254, 255])
check([0, 0.5, 0.996, 1], "float32", "uint8", [0, 127, 254, 255])
compiled = tf.function(lambda image: tf.image.convert_image_dtype(image, tf.uint8), jit_compile=True)
seen = compiled(tf.constant([0, 0.5, 0.996, 1], tf.bfloat16)).numpy().tolist()
expect(f"the first one compiled by XLA: {seen}", seen == [0, 128, 255, 255])
check([255], "uint8", "float32", [1.0])
white = tf.sigmoid(tf.constant(20, tf.bfloat16))
expect(f"a saturated bfloat16 sigmoid is drawn as {convert(white, 'bfloat16', 'uint8')}", convert(white, "bfloat16", "uint8") == 0)

check([0, 0.25, 0.5, 1], "float16", "uint16", [0, 0, 0, 0])
check([0, 0.25, 0.5, 1], "float16", "uint16", [0, 65504, 65504, 65504], saturate=True)
check([0, 0.5, 1], "float32", "uint16", [0, 32767, 65535])
check([0, 0.5, 1], "float32", "int32", [0, 2 ** 30, -2 ** 31])
check([0, 0.5, 1], "float32", "uint32", [0, 2 ** 31, 0])
check([0, 128, 255], "uint8", "uint16", [0, 32768, 65280])
way = tf.image.convert_image_dtype(tf.image.convert_image_dtype(tf.constant(255, tf.uint8), tf.uint16), tf.float32).numpy()
expect(f"white from uint8 over uint16 to float32: {way:.4f}", round(float(way), 4) == 0.9961)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$tmp/venv/bin/python" "$tmp/run.py"
