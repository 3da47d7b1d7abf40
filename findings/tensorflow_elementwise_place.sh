#!/usr/bin/env bash
# TensorFlow's log, exp, sin, cos, sigmoid and log1p of one number differ with its place in the tensor, on a CPU.
#
# Versions: tensorflow 2.21.0, numpy 2.4.6; x86-64.
# Seen, of float32 numbers alone in a tensor and the same ones among 2,000: a tenth to a quarter of the results differ in
# the last bit, for log, exp, sin, cos, sigmoid and log1p. tanh, erf and sqrt agree everywhere, and so do NumPy's log, exp,
# sin and cos, and TensorFlow's own once they are compiled by XLA (the same tensors, jit_compile=True).
# Why: whole vectors of a processor go through Eigen's polynomials; what is left over at the end, and a tensor that is
# shorter than a vector, goes one by one through the C library's functions, which round otherwise.
# Expected: an elementwise function is a function of the element. A model whose batches are padded, split or merged (as a
# server does) cannot be compared bit for bit, even where no sum is involved, and a stateless random number that is made
# of the same words with such functions is another one at the end of a tensor.
# Instead: compare with a tolerance of some 1e-7; or compile with XLA; or pad to a multiple of 16 numbers.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q tensorflow==2.21.0 numpy==2.4.6
cat > "$tmp/run.py" <<'PY'
import sys

import numpy as np
import tensorflow as tf

VALUES = 6 * np.random.default_rng(0).random(2000, np.float32)


def expect(what, holds):
    print("as described:" if holds else "CHANGED:", what)
    if not holds:
        sys.exit(1)


def differ(function):
    """Returns the share of numbers whose result alone is not that among the others, and the largest relative step."""
    together = np.asarray(function(VALUES))
    alone = np.concatenate([np.asarray(function(VALUES[n : n + 1])) for n in range(len(VALUES))])
    return (together != alone).mean(), np.max(np.abs(together - alone) / np.maximum(np.abs(alone), 1e-3))


for name in ("log", "exp", "sin", "cos", "sigmoid", "log1p"):
    share, step = differ(getattr(tf.math, name))
    expect(f"tf.math.{name}: {share:.1%} differ, by {step:.1e} at most", share > 0.02 and step < 1e-4)
for name in ("tanh", "erf", "sqrt"):
    share, _ = differ(getattr(tf.math, name))
    expect(f"tf.math.{name}: {share:.1%} differ", share == 0)
for name in ("log", "exp", "sin", "cos"):
    share, _ = differ(getattr(np, name))
    expect(f"numpy.{name}: {share:.1%} differ", share == 0)
    share, _ = differ(tf.function(getattr(tf.math, name), jit_compile=True, reduce_retracing=False))
    expect(f"tf.math.{name}, compiled: {share:.1%} differ", share == 0)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$tmp/venv/bin/python" "$tmp/run.py"
