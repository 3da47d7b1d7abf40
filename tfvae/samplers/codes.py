"""The codes of images that samplers are fitted to: samples of each image's posterior.

Samples rather than means: latents that say nothing have means near zero and would make densities that are singular, and
the decoder has learned to draw samples.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvae import config

_BATCH = 64


class Codes(NamedTuple):
    """q(z|x) of N images, NumPy arrays."""

    mean: np.ndarray  # [N, Z]
    log_variance: np.ndarray  # [N, Z]

    def sample(self, random, rows):
        """Returns codes [n, Z] of the images `rows` [n], by a NumPy generator."""
        noise = random.standard_normal((len(rows), self.mean.shape[1]), np.float32)
        return self.mean[rows] + np.exp(0.5 * self.log_variance[rows]) * noise

    def log_prob(self, latents, rows):
        """Returns log q(z|x) in nats, [n], of latents [n, Z] under the images `rows` [n]."""
        log_variance = self.log_variance[rows]
        squares = np.square(latents - self.mean[rows]) * np.exp(-log_variance)
        return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(axis=1)

    def moments(self):
        """Returns the mean [Z] and the covariance [Z, Z] of all codes together, float64."""
        means = np.asarray(self.mean, np.float64)
        variances = np.exp(np.asarray(self.log_variance, np.float64)).mean(axis=0)
        return means.mean(axis=0), np.atleast_2d(np.cov(means, rowvar=False, bias=True)) + np.diag(variances)


def of_images(vae, images, split, most):
    """Returns the `Codes` of at most so many images of a split of a `data.Data`, evenly spread.

    Raises:
        config.UserError: If the encoder returns what is no finite number.
    """
    numbers = images.spread(split, most)

    @tf.function(input_signature=[tf.TensorSpec([None, *vae.image_shape], tf.uint8)], autograph=False)
    def encode(pixels):
        return vae.encode(tf.cast(pixels, tf.float32) / 255)

    chunks = [numbers[start : start + _BATCH] for start in range(0, len(numbers), _BATCH)]
    batches = [encode(tf.constant(images.images(split, chunk))) for chunk in chunks]
    codes = Codes(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))
    finite = np.isfinite(codes.mean).all(axis=1) & np.isfinite(np.exp(0.5 * codes.log_variance)).all(axis=1)
    if not finite.all():
        raise config.UserError(
            f"expected codes of finite numbers, got {np.count_nonzero(~finite):,} of {len(finite):,} {split} images "
            "whose codes are not: the training has diverged; try a smaller --lr."
        )
    return codes
