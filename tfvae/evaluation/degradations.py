"""Images made worse in the ways in which models make them worse, without any model: so are readers trained.

Blur, noise of two grains, lower contrast, a patch of another image shining through, and the reconstruction of a linear
autoencoder (principal components): ghosts of what is frequent, as early reconstructions and samples are.
"""

import numpy as np
import tensorflow as tf
from sklearn import decomposition

_COMPONENTS = 96
_AT_ONCE = 256


def _binomial(images, rounds):
    """Returns images [B, H, W, C] blurred by [1/4, 1/2, 1/4] in both directions, so many times."""
    for _ in range(rounds):
        for axis in (1, 2):
            size = images.shape[axis]
            before = tf.gather(images, np.maximum(np.arange(size) - 1, 0), axis=axis)
            after = tf.gather(images, np.minimum(np.arange(size) + 1, size - 1), axis=axis)
            images = 0.5 * images + 0.25 * (before + after)
    return images


class Degradations:
    """Random degradations, each image in its own way; a quarter of the images stay as they are.

    Args:
        examples: uint8 [N, H, W, C], whose principal components are used.
    """

    def __init__(self, examples):
        flat = examples.reshape(len(examples), -1).astype(np.float32) / 255
        count = min(_COMPONENTS, len(flat) - 1, flat.shape[1])
        fitted = decomposition.PCA(count, svd_solver="randomized", random_state=0).fit(flat)
        self._mean, self._basis = np.float32(fitted.mean_), np.float32(fitted.components_.T)

    def __call__(self, images, seed):
        """Returns [B, H, W, C] in [0, 1] of images [B, H, W, C] in [0, 1]; `seed` is a pair of numbers."""
        batch, height, width, channels = images.shape
        batch = tf.shape(images)[0] if batch is None else batch
        streams = iter(tf.unstack(tf.random.experimental.stateless_split(seed, 24)))

        def uniform(low, high, shape=(1, 1, 1)):
            return tf.random.stateless_uniform([batch, *shape], next(streams), low, high, alg="philox")

        def normal(shape):
            return tf.random.stateless_normal([batch, *shape], next(streams), alg="philox")

        def some(share):
            return tf.cast(uniform(0.0, 1.0) < share, tf.float32)

        x = images
        # A rectangle of the next image, half transparent at most.
        rows, columns = (tf.linspace(0.0, 1.0, size) for size in (height, width))
        inside = (tf.abs(rows[:, None, None] - uniform(0.0, 1.0)) < uniform(0.02, 0.2)) & (
            tf.abs(columns[None, :, None] - uniform(0.0, 1.0)) < uniform(0.02, 0.2)
        )
        x += some(0.3) * uniform(0.0, 0.5) * tf.cast(inside, tf.float32) * (tf.roll(images, 1, 0) - x)
        flat = tf.reshape(x, [-1, height * width * channels]) - self._mean
        linear = tf.matmul(tf.matmul(flat, self._basis), self._basis, transpose_b=True) + self._mean
        x += some(0.4) * uniform(0.0, 0.9) * (tf.reshape(linear, tf.shape(x)) - x)
        x += some(0.5) * uniform(0.0, 1.0) * (_binomial(x, 2) - x)
        x = uniform(-0.04, 0.04) + 0.5 + (1.0 - some(0.5) * uniform(0.0, 0.25)) * (x - 0.5)
        coarse = normal((-(-height // 4), -(-width // 4), channels))
        coarse = tf.repeat(tf.repeat(coarse, 4, axis=1), 4, axis=2)[:, :height, :width]
        x += some(0.4) * uniform(0.0, 0.06) * coarse
        x += some(0.7) * uniform(0.0, 0.1) * normal((height, width, channels))
        x = tf.clip_by_value(x, 0.0, 1.0)
        return images + some(0.75) * (x - images)

    def apply_all(self, images, seed):
        """Returns float32 [N, H, W, C] of uint8 [N, H, W, C], degraded."""
        starts = range(0, len(images), _AT_ONCE)
        apply = tf.function(self, autograph=False)
        parts = [images[start : start + _AT_ONCE] / np.float32(255) for start in starts]
        return np.concatenate([apply(part, tf.constant([seed, n])).numpy() for n, part in enumerate(parts)])
