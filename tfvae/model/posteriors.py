"""The approximate posterior q(z|x): a diagonal Gaussian."""

import math
from typing import NamedTuple

import tensorflow as tf

# |log variance| stays below this: exp() can neither overflow nor reach zero, whatever the encoder says.
LOG_VARIANCE_BOUND = 12.0


class DiagonalGaussian(NamedTuple):
    """q(z|x) = N(mean, diag(exp(log_variance)))."""

    mean: tf.Tensor  # [B, Z]
    log_variance: tf.Tensor  # [B, Z]

    @classmethod
    def from_parameters(cls, parameters):
        """Splits an encoder's output [B, 2 Z] into float32 mean and log-variance, the latter bounded smoothly."""
        mean, log_variance = tf.split(tf.cast(parameters, tf.float32), 2, axis=-1)
        return cls(mean, LOG_VARIANCE_BOUND * tf.tanh(log_variance / LOG_VARIANCE_BOUND))

    def sample(self, noise):
        """Returns mean + sigma * noise (Kingma and Welling 2014, section 2.4); `noise` is [..., B, Z] from N(0, I)."""
        return self.mean + tf.exp(0.5 * self.log_variance) * noise

    def log_prob(self, latents):
        """Returns log q(z|x) in nats, [..., B], of `latents` [..., B, Z]."""
        squares = tf.square(latents - self.mean) * tf.exp(-self.log_variance)
        return -0.5 * tf.reduce_sum(squares + self.log_variance + math.log(2 * math.pi), axis=-1)

    def kl_to_standard_normal(self):
        """Returns KL(q(z|x) || N(0, I)) in nats of each latent, [B, Z] (Kingma and Welling 2014, appendix B)."""
        return 0.5 * (tf.exp(self.log_variance) + tf.square(self.mean) - 1.0 - self.log_variance)
