"""How sharp images are: blurred ones have smaller gradients than they should, speckled ones larger."""

import math

import numpy as np

_AT_ONCE = 256


def gradient_magnitude(images):
    """Returns the mean length of the gradient, by forward differences, of images [N, H, W, C] in [0, 1].

    The mean over all images, channels and pixels that have a neighbour on the right and below.
    """
    lengths = []
    for start in range(0, len(images), _AT_ONCE):
        part = np.asarray(images[start : start + _AT_ONCE], np.float32)
        down = part[:, 1:, :-1] - part[:, :-1, :-1]
        right = part[:, :-1, 1:] - part[:, :-1, :-1]
        lengths.append(np.hypot(down, right).mean(axis=(1, 2, 3)))
    return float(np.concatenate(lengths).mean())


def ratio(images, real):
    """Returns the gradient magnitude of images over that of real ones; NaN where these are flat."""
    magnitude = gradient_magnitude(real)
    return gradient_magnitude(images) / magnitude if magnitude else math.nan
