"""Paths from one image to another: through images, or through points, a walk's noise or its latents."""

from typing import NamedTuple

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


class Maps(NamedTuple):
    """What a walk needs of a model, functions of NumPy arrays or tensors."""

    encode: object  # From images [B, H, W, C] to posterior means [B, Z].
    decode: object  # From latents [B, Z] to images.
    to_base: object  # From latents to the noise they are drawn with, [B, Z].
    from_base: object  # And back.


def walked(a, b, weight, way, maps):
    """Returns the latents at `weight` of the way from a to b.

    Args:
        a: Posterior means, [B, Z] or [1, Z].
        b: As a.
        weight: [B]; at 0 and 1 what is near a and b.
        way: (path, space): "wipe", from the top down through images (`wiped`); or a key of `PATHS`, through points in
            "base", the sampler's Gaussian noise, where a spherical path stays among what it draws, or "latent".
        maps: The model's `Maps`.

    Returns:
        [B, Z].
    """
    path, space = way
    if path == "wipe":
        return wiped(maps.encode, maps.decode, maps.decode(a), maps.decode(b), weight)
    if space == "latent":
        return PATHS[path](a, b, weight)
    return maps.from_base(PATHS[path](maps.to_base(a), maps.to_base(b), weight))


_ROUNDS, _DECISION = 5, 2.0


def wiped(encode, decode, images_a, images_b, weight):
    """Returns the latents of images in between: b comes over a from the top down, and the model makes images of it.

    A composite of two images is no image, and what the model makes of one has colours of neither. So two projections
    take turns (von Neumann 1950): onto what the model describes, by `encode` and `decode`, and onto images each of
    whose pixels is a's or b's. What both ends have in common stays, and the rest changes part by part.

    Args:
        encode: From images [B, H, W, C] to latents [B, Z].
        decode: From latents to images.
        images_a: [B, H, W, C] in [0, 1], as the model decodes them.
        images_b: [B, H, W, C].
        weight: [B]; the share of the rows that are b's at first, from 0 to 1.

    Returns:
        [B, Z].
    """
    # A loop of the graph: written out, it would make a graph of six times the size.
    _, latents = tf.while_loop(
        lambda number, _: number < _ROUNDS,
        lambda number, latents: (number + 1, encode(decided(decode(latents), images_a, images_b))),
        (0, encode(wipe(images_a, images_b, weight))),
    )
    return latents


def wipe(images_a, images_b, weight):
    """Returns images [B, H, W, C] whose upper rows, a share of `weight` [B], are b's, and the others a's."""
    height = tf.shape(images_a)[1]
    line = weight[:, tf.newaxis] * tf.cast(height, tf.float32)
    of_b = tf.clip_by_value(line - tf.range(height, dtype=tf.float32), 0.0, 1.0)
    return images_a + of_b[:, :, tf.newaxis, tf.newaxis] * (images_b - images_a)


def decided(images, images_a, images_b):
    """Returns images [B, H, W, C] each of whose pixels has a's colour or b's, whichever is nearer.

    Near the middle of both it is a mixture, twice as far from the middle as the pixel was: a continuous choice.
    """
    difference = images_b - images_a
    along = tf.reduce_sum((images - images_a) * difference, axis=-1, keepdims=True)
    of_b = tf.math.divide_no_nan(along, tf.reduce_sum(tf.square(difference), axis=-1, keepdims=True))
    return images_a + tf.clip_by_value(0.5 + _DECISION * (of_b - 0.5), 0.0, 1.0) * difference
