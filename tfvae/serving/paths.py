"""Paths from one point to another: of a walk's noise, or of its latents."""

import tensorflow as tf


def slerp(a, b, weight):
    """Returns the point at `weight` on the spherical path from a to b: the direction turns evenly, the length is mixed.

    In the prior's Gaussian noise, unlike a straight line, this passes through the shell where noise lies. Where the
    directions are almost the same (or opposite, where no turn is defined) it is the straight line.

    Args:
        a: [B, Z].
        b: [B, Z].
        weight: [B]; 0 gives a, 1 gives b.

    Returns:
        [B, Z].
    """
    weight = weight[:, tf.newaxis]
    length_a, length_b = tf.norm(a, axis=-1, keepdims=True), tf.norm(b, axis=-1, keepdims=True)
    unit_a, unit_b = tf.math.divide_no_nan(a, length_a), tf.math.divide_no_nan(b, length_b)
    # Half the angle from its tangent: arccos of a product has no digits left at small angles (Kahan).
    half = tf.atan2(tf.norm(unit_a - unit_b, axis=-1, keepdims=True), tf.norm(unit_a + unit_b, axis=-1, keepdims=True))
    angle = 2.0 * half
    sine = tf.sin(angle)
    turns = tf.abs(sine) > 1e-3
    sine = tf.where(turns, sine, tf.ones_like(sine))
    direction = (tf.sin((1.0 - weight) * angle) * unit_a + tf.sin(weight * angle) * unit_b) / sine
    length = (1.0 - weight) * length_a + weight * length_b
    return tf.where(turns, length * direction, (1.0 - weight) * a + weight * b)


def lerp(a, b, weight):
    """Returns the point at `weight` on the straight line from a to b; arguments and result as `slerp`'s."""
    weight = weight[:, tf.newaxis]
    return (1.0 - weight) * a + weight * b


PATHS = {"spherical": slerp, "linear": lerp}
