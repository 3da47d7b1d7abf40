"""Priors p(z). Each maps Gaussian base noise u ~ N(0, I) to latents z and back, so `--std` and walks mean the same.

Each is a small Keras layer with
`rates(posterior, latents)`: KL(q(z|x) || p(z)) in nats, [B, G], in G groups of latents whose sum is the rate;
`log_prob(latents)`: log p(z) in nats, [..., B];
`from_base(noise)` and `to_base(latents)`: [..., Z] to [..., Z], each other's inverse;
`draw(noise, std)`: `from_base` of noise of another standard deviation, [B, Z] to [B, Z].
"""

import keras
import numpy as np
import tensorflow as tf

from tfvae.model import normal
from tfvae.model.layers import GAIN, kernel


def _log_normal(noise):
    """Returns log N(noise; 0, I) in nats, [...], of `noise` [..., Z]."""
    return tf.reduce_sum(normal.log_pdf(noise), axis=-1)


class Prior(keras.layers.Layer):
    """What all priors have in common."""

    def draw(self, noise, std):
        """Returns latents [B, Z] of noise [B, Z] from N(0, std^2 I); a smaller std draws what is more typical."""
        del std
        return self.from_base(noise)


@keras.saving.register_keras_serializable("tfvae")
class StandardNormal(Prior):
    """p(z) = N(0, I): the base noise is the latent, and the rate of each latent is known in closed form."""

    def rates(self, posterior, latents):
        del latents
        return posterior.kl_to_standard_normal()

    def log_prob(self, latents):
        return _log_normal(latents)

    def from_base(self, noise):
        return noise

    def to_base(self, latents):
        return latents


@keras.saving.register_keras_serializable("tfvae")
class Flow(Prior):
    """p(z) = N(f(z); 0, I) |det df/dz|: affine couplings (RealNVP: Dinh et al. 2017; as a prior: Chen et al. 2017).

    Each coupling shifts and scales one half of the latents by a small network of the other half; halves are drawn
    anew, from a fixed seed, for each coupling. The rate is estimated from the one sample that the decoder sees:
    log q(z|x) - log p(z), which is unbiased.

    Args:
        latent_dim: Z, at least 2.
        couplings: How many.
        hidden: Units of each coupling's two hidden layers.
    """

    def __init__(self, latent_dim, couplings=8, hidden=128, **kwargs):
        super().__init__(**kwargs)
        if latent_dim < 2:
            raise ValueError(f"A flow needs at least 2 latents, got {latent_dim}.")
        self.latent_dim, self.couplings, self.hidden = latent_dim, couplings, hidden
        order = np.random.default_rng(0)
        self._orders = [order.permutation(latent_dim) for _ in range(couplings)]
        self._kept = latent_dim // 2
        # A variable holds a layer of all couplings: many small variables cost an optimizer more than their weights do.
        sizes = (self._kept, hidden, hidden, 2 * (latent_dim - self._kept))
        scales = (1.0, 1.0, 0.0)  # The last layer begins at zero, and so the flow as the identity.
        self._stacks = [
            self._layer(f"layer_{number}", *shape, scale)
            for number, (*shape, scale) in enumerate(zip(sizes[:-1], sizes[1:], scales, strict=True))
        ]
        self.built = True

    def _layer(self, name, inputs, outputs, scale):
        """Returns the variables of one layer of all couplings: [couplings, inputs, outputs], [couplings, outputs]."""
        kernels = self.add_weight(name=f"{name}_kernels", shape=(self.couplings, inputs, outputs), initializer="zeros")
        kernels.assign(tf.stack([kernel(scale)((inputs, outputs)) for _ in range(self.couplings)]))
        return kernels, self.add_weight(name=f"{name}_biases", shape=(self.couplings, outputs), initializer="zeros")

    def _networks(self):
        """Returns the layers of each coupling: [couplings] lists of (kernel, bias)."""
        layers = [zip(*(tf.unstack(tf.convert_to_tensor(v)) for v in layer), strict=True) for layer in self._stacks]
        return list(zip(*layers, strict=True))

    def _coupling(self, network, kept):
        """Returns (shift, log-scale), both [..., Z - kept], the latter within +-2."""
        *hidden, last = network
        x = kept
        for weights, bias in hidden:
            x = tf.nn.silu(GAIN * (tf.linalg.matmul(x, weights) + bias))
        weights, bias = last
        shift, log_scale = tf.split(GAIN * (tf.linalg.matmul(x, weights) + bias), 2, axis=-1)
        return shift, 2.0 * tf.tanh(log_scale / 2.0)

    def _to_base(self, latents):
        """Returns the noise [..., Z] and log |det du/dz| [...]."""
        log_determinant = tf.zeros(tf.shape(latents)[:-1])
        for order, network in zip(self._orders, self._networks(), strict=True):
            latents = tf.gather(latents, order, axis=-1)
            kept, moved = latents[..., : self._kept], latents[..., self._kept :]
            shift, log_scale = self._coupling(network, kept)
            latents = tf.concat([kept, moved * tf.exp(log_scale) + shift], axis=-1)
            log_determinant += tf.reduce_sum(log_scale, axis=-1)
        return latents, log_determinant

    def to_base(self, latents):
        return self._to_base(latents)[0]

    def from_base(self, noise):
        for order, network in zip(reversed(self._orders), reversed(self._networks()), strict=True):
            kept, moved = noise[..., : self._kept], noise[..., self._kept :]
            shift, log_scale = self._coupling(network, kept)
            noise = tf.concat([kept, (moved - shift) * tf.exp(-log_scale)], axis=-1)
            noise = tf.gather(noise, np.argsort(order), axis=-1)
        return noise

    def log_prob(self, latents):
        noise, log_determinant = self._to_base(latents)
        return _log_normal(noise) + log_determinant

    def rates(self, posterior, latents):
        return (posterior.log_prob(latents) - self.log_prob(latents))[:, tf.newaxis]

    def get_config(self):
        sizes = {"latent_dim": self.latent_dim, "couplings": self.couplings, "hidden": self.hidden}
        return {**super().get_config(), **sizes}
