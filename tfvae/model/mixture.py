"""A mixture of Gaussians with full covariances: a prior that is learned, or a density fitted to a model's codes.

Its base noise is that of the Rosenblatt transform (Rosenblatt 1952): u_i = Phi^-1(F(z_i | z_1 ... z_i-1)), one latent
after another, where F is the CDF of z_i under the mixture. That is a bijection, and u is N(0, I) where z is distributed
as the mixture: `--std` and walks mean what they mean under a flow.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfvae.model import normal
from tfvae.model.priors import Prior

# As in `layers`, but more: of full covariances a step of 1e-4 is too small to follow codes that move.
GAIN = 30.0
_TOLERANCE = 1e-8  # Of a latent found from its noise, relative to its size; float32 has 6e-8.
_MOST_STEPS = 100
_NEGLIGIBLE = 25.0  # A component that has e^-25 of the probability that is looked for cannot move a quantile.


@keras.saving.register_keras_serializable("tfvae")
class Mixture(Prior):
    """p(z) = sum_k w_k N(z; m_k, (P_k^T P_k)^-1), each P_k lower triangular with a positive diagonal.

    New, it is nearly N(0, I): unit covariances, and means that are spread just enough for each component to find codes
    of its own. The rate is estimated from the one sample that the decoder sees, log q(z|x) - log p(z).

    Args:
        latent_dim: Z.
        components: K.
    """

    def __init__(self, latent_dim, components=10, **kwargs):
        super().__init__(**kwargs)
        if components < 1:
            raise ValueError(f"A mixture needs at least 1 component, got {components}.")
        self.latent_dim, self.components = latent_dim, components
        spread = keras.initializers.RandomNormal(stddev=(components > 1) / math.sqrt(latent_dim) / GAIN)
        self._logits = self.add_weight(name="logits", shape=(components,), initializer="zeros")
        self._means = self.add_weight(name="means", shape=(components, latent_dim), initializer=spread)
        self._log_diagonals = self.add_weight(name="log_diagonals", shape=(components, latent_dim), initializer="zeros")
        # Above their diagonals these are never used, and stay zero.
        self._lower = self.add_weight(name="lower", shape=(components, latent_dim, latent_dim), initializer="zeros")
        self.built = True

    @classmethod
    def of(cls, weights, means, factors):
        """Returns the mixture of weights w [K], means m [K, Z] and precision factors P [K, Z, Z]; NumPy arrays."""
        mixture = cls(means.shape[1], len(weights))
        diagonals = np.diagonal(factors, axis1=1, axis2=2)
        # A component that no code belongs to may have a weight of exactly zero.
        mixture._logits.assign(np.log(np.maximum(weights, 1e-30)) / GAIN)
        mixture._means.assign(means / GAIN)
        mixture._log_diagonals.assign(np.log(diagonals) / GAIN)
        mixture._lower.assign(np.tril(factors, -1) / GAIN)
        return mixture

    def _parameters(self, dtype=tf.float32):
        """Returns log w [K], m [K, Z], the diagonals of log P [K, Z], and P [K, Z, Z]."""
        logits, means, log_diagonals, lower = (
            GAIN * tf.cast(tf.convert_to_tensor(weight), dtype)
            for weight in (self._logits, self._means, self._log_diagonals, self._lower)
        )
        factors = tf.linalg.set_diag(tf.linalg.band_part(lower, -1, 0), tf.exp(log_diagonals))
        return tf.nn.log_softmax(logits), means, log_diagonals, factors

    def _standardised(self, latents, means, factors):
        """Returns P_k (z - m_k), [..., K, Z], of `latents` [..., Z]."""
        # One matrix product for all components: XLA makes slow code of a batch of small ones.
        columns = tf.reshape(tf.transpose(factors, [2, 0, 1]), [self.latent_dim, -1])
        products = tf.reshape(
            tf.linalg.matmul(tf.reshape(latents, [-1, self.latent_dim]), columns),
            tf.concat([tf.shape(latents)[:-1], [self.components, self.latent_dim]], axis=0),
        )
        return products - tf.linalg.matvec(factors, means)

    def log_prob(self, latents):
        log_weights, means, log_diagonals, factors = self._parameters()
        standardised = self._standardised(latents, means, factors)
        within = tf.reduce_sum(normal.log_pdf(standardised) + log_diagonals, axis=-1)  # [..., K]
        return tf.reduce_logsumexp(log_weights + within, axis=-1)

    def rates(self, posterior, latents):
        return (posterior.log_prob(latents) - self.log_prob(latents))[:, tf.newaxis]

    def to_base(self, latents):
        log_weights, means, log_diagonals, factors = self._parameters(tf.float64)
        standardised = self._standardised(tf.cast(latents, tf.float64), means, factors)
        # Row i of P_k (z - m_k) is z_i standardised by its distribution given those before it, in component k.
        evidence = tf.cumsum(normal.log_pdf(standardised) + log_diagonals, axis=-1, exclusive=True)
        log_weights = tf.nn.log_softmax(log_weights[:, tf.newaxis] + evidence, axis=-2)
        below, above = (
            tf.reduce_logsumexp(log_weights + normal.log_cdf(side * standardised), axis=-2) for side in (1.0, -1.0)
        )
        quantiles = normal.quantile(tf.minimum(below, above))  # In the tail where no digit is lost.
        return tf.cast(tf.where(below < above, quantiles, -quantiles), tf.float32)

    def from_base(self, noise):
        """As the other priors'; latent after latent, for each one's distribution depends on those before it."""
        log_weights, means, log_diagonals, factors = self._parameters(tf.float64)
        rows = tf.reshape(tf.cast(noise, tf.float64), [-1, self.latent_dim])
        number = tf.shape(rows)[0]
        means, log_slopes, columns = (
            tf.transpose(means),  # [Z, K]
            tf.transpose(log_diagonals),  # [Z, K]
            tf.transpose(factors, [2, 0, 1]),  # [Z, K, Z]
        )
        u = tf.transpose(rows)  # [Z, B]

        def step(i, log_weights, moved, latents):
            """Finds latent i. `moved` [B, K, Z] is P_k (z - m_k) of the latents before it."""
            centres = means[i] - moved[..., i] * tf.exp(-log_slopes[i])
            z = _quantile(u[i], log_weights, centres, log_slopes[i])
            offsets = z[:, tf.newaxis] - centres
            log_weights += log_slopes[i] + normal.log_pdf(offsets * tf.exp(log_slopes[i]))
            moved += (z[:, tf.newaxis] - means[i])[..., tf.newaxis] * columns[i]
            return i + 1, tf.nn.log_softmax(log_weights), moved, latents.write(i, z)

        begin = (
            0,
            tf.repeat(log_weights[tf.newaxis], number, axis=0),
            tf.zeros([number, self.components, self.latent_dim], tf.float64),
            tf.TensorArray(tf.float64, self.latent_dim, element_shape=[None]),
        )
        *_, latents = tf.while_loop(lambda i, *_: i < self.latent_dim, step, begin)
        return tf.reshape(tf.cast(tf.transpose(latents.stack()), tf.float32), tf.shape(noise))

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim, "components": self.components}


def _quantile(u, log_weights, centres, log_slopes):
    """Returns z [B] with sum_k w_k Phi(slope_k (z - centre_k)) = Phi(u), by bisection beside Newton's method.

    Args:
        u: [B] float64.
        log_weights: [B, K], normalised.
        centres: [B, K].
        log_slopes: [K].
    """
    slopes = tf.exp(log_slopes)
    side = tf.where(u > 0, -tf.ones_like(u), tf.ones_like(u))[:, tf.newaxis]  # The tail that u is in: no digit is lost.
    wanted = normal.log_cdf(-tf.abs(u))[:, tf.newaxis]
    # The quantile of a mixture lies between those of its components.
    quantiles = centres + u[:, tf.newaxis] / slopes
    matters = log_weights > wanted - _NEGLIGIBLE
    infinity = tf.constant(math.inf, tf.float64)
    low = tf.reduce_min(tf.where(matters, quantiles, infinity), axis=-1)
    high = tf.reduce_max(tf.where(matters, quantiles, -infinity), axis=-1)

    def tolerance(low, high):
        return _TOLERANCE * (1.0 + tf.maximum(tf.abs(low), tf.abs(high)))

    def searching(low, high):
        return high - low > tolerance(low, high)

    def narrow(low, high, guess):
        near = 0.4 * tolerance(low, high)
        points = tf.stack([guess - near, guess + near, 0.5 * (low + high)], axis=-1)  # [B, 3]
        points = tf.clip_by_value(points, low[:, tf.newaxis], high[:, tf.newaxis])
        standardised = slopes * (points[..., tf.newaxis] - centres[:, tf.newaxis])  # [B, 3, K]
        weights = log_weights[:, tf.newaxis]
        tails = tf.reduce_logsumexp(weights + normal.log_cdf(side[..., tf.newaxis] * standardised), axis=-1)
        densities = tf.reduce_logsumexp(weights + normal.log_pdf(standardised) + log_slopes, axis=-1)
        errors = tails - wanted
        below = side * errors <= 0
        new_low = tf.maximum(low, tf.reduce_max(tf.where(below, points, -infinity), axis=-1))
        new_high = tf.minimum(high, tf.reduce_min(tf.where(below, infinity, points), axis=-1))
        newton = points - side * errors * tf.exp(tails - densities)
        guess = tf.gather(newton, tf.argmin(tf.abs(errors), axis=-1), batch_dims=1)
        guess = tf.where(tf.math.is_finite(guess), guess, low)  # Where there is no density there is no slope.
        # Rows that are done stay as they are: a row must not depend on how long the others take.
        more = searching(low, high)
        return tf.where(more, new_low, low), tf.where(more, new_high, high), guess

    low, high, _ = tf.while_loop(
        lambda low, high, _: tf.reduce_any(searching(low, high)),
        narrow,
        (low, high, 0.5 * (low + high)),
        maximum_iterations=_MOST_STEPS,
    )
    return 0.5 * (low + high)
