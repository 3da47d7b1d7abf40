#!/usr/bin/env bash
# tf.io.decode_and_crop_jpeg is not "equivalent to a combination of decode and crop": the outer columns have other colours.
#
# Versions: tensorflow 2.21.0, numpy 2.4.6.
# Seen for a JPEG with subsampled colours (4:2:0, the usual kind): half of all windows differ from the slice of the decoded
# image, by tens of levels: in the last column where x + width is even, and in the first where x is a multiple of 16. The
# decoder interpolates colours between neighbours, and the column beyond the window is not decoded. Rows are exact, as are
# images without subsampling.
# Expected: equal pixels, as the documentation says; so a cache of crops and crops made while training can be mixed, and
# tiles of one image fit together.
# Instead: ask for one column more on each side and cut it off, which is exact; or pass fancy_upscaling=False to both.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q tensorflow==2.21.0 numpy==2.4.6
cat > "$tmp/run.py" <<'PY'
import sys

import numpy as np
import tensorflow as tf


def expect(what, holds):
    print("as described:" if holds else "CHANGED:", what)
    if not holds:
        sys.exit(1)


def crop(file, y, x, height, width, **options):
    return tf.io.decode_and_crop_jpeg(file, [y, x, height, width], **options).numpy().astype(int)


image = tf.image.resize(np.random.default_rng(0).integers(0, 256, (12, 12, 3)), (96, 96), "bicubic")
image = tf.saturate_cast(image, tf.uint8)
windows = [(x, width) for x in range(1, 60) for width in (16, 17, 32, 35)]


def compare(subsampled, margin=0, **options):
    """The share of windows that differ from the slice, the largest difference, and where it is found."""
    file = tf.io.encode_jpeg(image, quality=95, chroma_downsampling=subsampled)
    whole = tf.io.decode_jpeg(file, **options).numpy().astype(int)
    differences, columns, lefts, rights = [], set(), set(), set()
    for x, width in windows:
        seen = crop(file, 7, x - margin, 40, width + 2 * margin, **options)[:, margin:margin + width]
        difference = np.abs(seen - whole[7:47, x:x + width])
        differences.append(difference.max())
        for column in np.flatnonzero(difference.max((0, 2))):
            columns.add("first" if column == 0 else "last" if column == width - 1 else "inner")
            (lefts if column == 0 else rights).add(x % 16 if column == 0 else (x + width) % 2)
    print(f"  subsampled {subsampled}, margin {margin}, {options}: {np.mean(np.array(differences) > 0):.0%} of the windows differ,"
          f" by up to {max(differences)}, columns {sorted(columns)}, starts modulo 16 {lefts}, ends modulo 2 {rights}")
    return max(differences), columns, lefts, rights


largest, columns, lefts, rights = compare(subsampled=True)
expect("subsampled: only the outer columns differ, by tens of levels", largest > 10 and columns == {"first", "last"})
expect("first column: where x is a multiple of 16; last column: where x + width is even", lefts == {0} and rights == {0})
file = tf.io.encode_jpeg(image, quality=95)
whole = tf.io.decode_jpeg(file).numpy()
expect("full width: every choice of rows is exact",
       all(np.array_equal(crop(file, y, 0, height, 96), whole[y:y + height]) for y in range(60) for height in (8, 17)))
expect("not subsampled: exact", compare(subsampled=False)[0] == 0)
expect("a margin of one column, cut off again: exact", compare(subsampled=True, margin=1)[0] == 0)
expect("without fancy upscaling: exact", compare(subsampled=True, fancy_upscaling=False)[0] == 0)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$tmp/venv/bin/python" "$tmp/run.py"
