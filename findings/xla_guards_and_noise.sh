#!/usr/bin/env bash
# On the CPU, jit_compile=True drops the guards of a function and changes its noise, and a test with a literal seed shows neither.
#
# Versions: tensorflow 2.21.0, numpy 2.4.6; x86-64.
# Seen in tf.function(jit_compile=True), against the same function without it:
#   - tf.debugging.Assert, assert_all_finite and check_numerics raise nothing: the NaN is returned.
#   - tf.reduce_max loses a NaN, so the cheap guard is_finite(reduce_max(abs(x))) says True for x with a NaN.
#   - tf.gather past the end returns the last element; plain code raises.
#   - tf.cast(300.0, tf.uint8) is 255 and of -5.0 is 0; plain code wraps to 44 and 251. A missing clip shows in one only.
#   - tf.random.stateless_normal(shape, seed, alg="philox") gives other numbers where the seed is an argument or a captured
#     tensor, although the uint32 words are the same. (Plain code makes a float of the lower 23 bits, XLA of the upper.)
#     Where the seed is a literal, the numbers are those of plain code, since TensorFlow folds the constant before XLA
#     sees it; but only up to the limit of that folding: 4 MiB of noise agree, 16 MiB differ.
# Expected: a named algorithm and a seed give one result; a guard guards; and a small test predicts the large run.
# Instead: return is_finite of all elements from the compiled function and raise outside; use tf.saturate_cast; check
# indices outside. For equal noise draw it outside, or make floats of the words yourself as below. In tests pass the seed as
# an argument.
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


def plain_and_compiled(function, *args):
    results = []
    for jit_compile in (False, True):
        try:
            results.append(tf.function(function, jit_compile=jit_compile)(*args).numpy().tolist())
        except tf.errors.InvalidArgumentError:
            results.append("raises")
    print(f"  {function.__name__}: plain {results[0]}, compiled {results[1]}")
    return results


def with_assert(x):
    tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(x)), [x])
    return tf.identity(x)


def with_assert_all_finite(x):
    tf.debugging.assert_all_finite(x, "x")
    return tf.identity(x)


def with_check_numerics(x):
    return tf.debugging.check_numerics(x, "x")


def guard_by_maximum(x):
    return tf.math.is_finite(tf.reduce_max(tf.abs(x)))


def guard_by_every_element(x):
    return tf.reduce_all(tf.math.is_finite(x))


def gather(x, index):
    return tf.gather(x, index)


def cast(x):
    return tf.cast(x, tf.uint8)


def saturate_cast(x):
    return tf.saturate_cast(x, tf.uint8)


with_nan = tf.constant([1.0, np.nan, 3.0])
for function in (with_assert, with_assert_all_finite, with_check_numerics):
    plain, compiled = plain_and_compiled(function, with_nan)
    expect("the guard is gone", plain == "raises" and np.isnan(compiled[1]))
expect("the maximum loses the NaN", plain_and_compiled(guard_by_maximum, with_nan) == [False, True])
expect("looking at every element finds it", plain_and_compiled(guard_by_every_element, with_nan) == [False, False])
expect("gather clamps", plain_and_compiled(gather, tf.range(5), tf.constant([1, 7])) == ["raises", [1, 4]])
values = tf.constant([300.0, -5.0])
expect("cast wraps or saturates", plain_and_compiled(cast, values) == [[44, 251], [255, 0]])
expect("saturate_cast is the same in both", plain_and_compiled(saturate_cast, values) == [[255, 0], [255, 0]])


def noise_of(shape):
    captured = tf.constant([1, 2])

    def literal_seed():
        return tf.random.stateless_normal(shape, [1, 2], alg="philox")

    def captured_seed():
        return tf.random.stateless_normal(shape, captured, alg="philox")

    def seed_argument(seed):
        return tf.random.stateless_normal(shape, seed, alg="philox")

    plain = literal_seed().numpy()
    compiled = [tf.function(f, jit_compile=True) for f in (literal_seed, captured_seed, seed_argument)]
    results = [compiled[0](), compiled[1](), compiled[2](captured)]
    return [np.array_equal(plain, result.numpy()) for result in results]


print("compiled noise equals plain noise, for a seed that is a literal, a captured tensor, an argument:")
for shape, equal in (([8], [True, False, False]), ([1024, 1024], [True, False, False]), ([4, 1024, 1024], [False] * 3)):
    seen = noise_of(shape)
    expect(f"shape {shape}: {seen}", seen == equal)


def words(seed):
    return tf.random.stateless_uniform([1000], seed, None, None, tf.uint32, alg="philox")


def uniform(seed):
    return tf.random.stateless_uniform([1000], seed, alg="philox")


def uniform_of_words(seed):
    return tf.cast(tf.bitwise.right_shift(words(seed), tf.constant(9, tf.uint32)), tf.float32) * 2.0 ** -23


seed = tf.constant([1, 2])
for function, equal in ((words, True), (uniform, False), (uniform_of_words, True)):
    plain, compiled = function(seed).numpy(), tf.function(function, jit_compile=True)(seed).numpy()
    expect(f"{function.__name__}: plain {plain[:2]}, compiled {compiled[:2]}", np.array_equal(plain, compiled) == equal)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$tmp/venv/bin/python" "$tmp/run.py"
