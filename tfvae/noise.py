"""Noise from N(0, I) that depends on its seeds alone: the same numbers on any device, compiled or not, in any batch.

TensorFlow's own stateless noise is the same 32-bit words everywhere, but XLA makes floats of other bits of them than
plain code does. So the words are made here, by Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"): additions, rotations and exclusive ors, which every runtime has; and normal numbers of
them by Box and Muller (1958).
"""

import math

import tensorflow as tf

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_ROUNDS = 20


def _rotated(words, by):
    return tf.bitwise.bitwise_or(tf.bitwise.left_shift(words, tf.constant(by, tf.uint32)),
                                 tf.bitwise.right_shift(words, tf.constant(32 - by, tf.uint32)))  # fmt: skip


def threefry(key, counter):
    """Returns two random words for each counter and key, both pairs of uint32 tensors that broadcast."""
    xor = tf.bitwise.bitwise_xor
    keys = (*key, xor(xor(*key), tf.constant(_PARITY, tf.uint32)))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for number in range(_ROUNDS):
        x += y
        y = xor(_rotated(y, _ROTATIONS[number % 8]), x)
        if number % 4 == 3:
            group = number // 4 + 1
            x += keys[group % 3]
            y += keys[(group + 1) % 3] + tf.constant(group, tf.uint32)
    return x, y


def _uniform(words):
    """Returns float32 numbers within (0, 1), evenly spaced, of the upper 23 bits of uint32 `words`."""
    return (tf.cast(tf.bitwise.right_shift(words, tf.constant(9, tf.uint32)), tf.float32) + 0.5) * 2.0**-23


def normal(seeds, size):
    """Returns noise from N(0, 1), float32 [B, size]; a row depends on its own seed alone, of `seeds` int32 [B, 2].

    No number is larger than 5.8, which one in 10^8 would be.
    """
    key = [word[:, tf.newaxis] for word in tf.unstack(tf.bitcast(seeds, tf.uint32), axis=1)]
    counter = tf.cast(tf.range((size + 1) // 2), tf.uint32)[tf.newaxis]
    first, second = (_uniform(words) for words in threefry(key, (counter, tf.zeros_like(counter))))
    length, angle = tf.sqrt(-2.0 * tf.math.log(first)), 2.0 * math.pi * second
    return tf.concat([length * tf.cos(angle), length * tf.sin(angle)], axis=1)[:, :size]
