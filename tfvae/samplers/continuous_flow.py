"""A continuous normalizing flow fitted by flow matching: a density by which noise and codes are each other's image.

A velocity v(x, t) carries points from noise x_0 at t = 0 to codes x_1 at t = 1 along dx/dt = v. It is fitted by least
squares to the speed of the paths x_t = cos(pi t / 2) x_0 + sin(pi t / 2) x_1 between noise and codes that are drawn
independently, and then carries the one distribution to the other (Lipman et al. 2023, "Flow matching for generative
modeling"; these paths: Albergo and Vanden-Eijnden 2023, "Building normalizing flows with stochastic interpolants").
Codes are whitened first: for Gaussian codes the velocity of these paths is zero, and for others it is small and smooth,
so that few steps follow it. The map is invertible, and its density is known by the instantaneous change of variables
(Chen et al. 2018, "Neural ordinary differential equations", theorem 1).

The velocity is told the standard deviation s of the noise it starts from, so that N(0, s^2 I) is carried to the codes
for every s of `STDS`, not for 1 alone.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfvae.model import normal

STDS = 0.5, 1.25  # Of the noise that the velocity knows; beyond them it is told the nearest.
EXACT_TRACE = 64  # Largest Z whose divergence is summed exactly; beyond it Hutchinson's estimate is taken.
_PROBES = 16  # Of that estimate.
_STEPS = 8  # Of the ODE where it has to be exact to 1e-3: between noise and codes, both ways, and for densities.
_FREQUENCIES = 2  # Of the time that the velocity is told: the lower, the smoother.


def on_path(noise, codes, time):
    """Returns the points at `time` on the paths from noise to codes, and their speed."""
    cosine, sine = tf.cos(0.5 * math.pi * time), tf.sin(0.5 * math.pi * time)
    return cosine * noise + sine * codes, 0.5 * math.pi * (cosine * codes - sine * noise)


def _features(time, std):
    """Returns what the velocity is told beside the point, [B, 2 + 2 * _FREQUENCIES]: of t and s, [B, 1] each."""
    angles = math.pi * time * tf.constant([[2.0**power for power in range(_FREQUENCIES)]])
    return tf.concat([time, tf.math.log(std), tf.sin(angles), tf.cos(angles)], axis=-1)


@keras.saving.register_keras_serializable("tfvae")
class ContinuousFlow(keras.layers.Layer):
    """The density of codes; new, it is the Gaussian that codes are whitened by.

    Args:
        latent_dim: Z.
        units: Of each hidden layer.
        blocks: Residual blocks of two layers each.
        steps: Steps of the ODE by which `draw` follows it, of four evaluations each.
        condition_dim: Size of a vector that the velocity is told beside time and std, such as a label; 0: none.
        seed: Of the first weights.
    """

    def __init__(self, latent_dim, units=256, blocks=3, steps=3, condition_dim=0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim, self.units, self.blocks, self.steps = latent_dim, units, blocks, steps
        self.condition_dim, self.seed = condition_dim, seed
        # Codes are whitened: x = root^-1 (z - shift), root lower triangular.
        shapes = {"shift": [latent_dim], "root": [latent_dim, latent_dim], "inverse_root": [latent_dim, latent_dim]}
        self.shift, self.root, self.inverse_root = (
            self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False)
            for name, shape in shapes.items()
        )
        self.whiten(np.zeros(latent_dim), np.eye(latent_dim))
        self._make_layers(seed)
        self.built = True

    def _make_layers(self, seed):
        """Makes the network of the velocity: new, it returns zeros."""
        seeds = iter(range(seed, seed + 10_000))

        def dense(inputs, outputs, scale=1.0, **arguments):
            kernel = keras.initializers.VarianceScaling(scale, seed=next(seeds)) if scale else "zeros"
            layer = keras.layers.Dense(outputs, kernel_initializer=kernel, **arguments)
            layer.build([None, inputs])
            return layer

        units, told = self.units, 2 + 2 * _FREQUENCIES + self.condition_dim
        self.first, self.last = dense(self.latent_dim, units), dense(units, self.latent_dim, scale=0.0)
        self.inner = [dense(units, units) for _ in range(self.blocks)]
        self.outer = [dense(units, units, scale=0.1) for _ in range(self.blocks)]
        self.told = [dense(told, units, use_bias=False) for _ in range(self.blocks + 1)]

    def whiten(self, mean, covariance):
        """Takes a mean [Z] and a covariance [Z, Z] for those of all codes."""
        root = np.linalg.cholesky(covariance)
        for weight, value in (self.shift, mean), (self.root, root), (self.inverse_root, np.linalg.inv(root)):
            weight.assign(np.asarray(value, np.float32))

    def whitened(self, latents):
        """Returns points [B, Z] of mean 0 and covariance I of latents [B, Z]."""
        return tf.linalg.matmul(latents - self.shift, self.inverse_root, transpose_b=True)

    def velocity(self, points, time, std=1.0, condition=None):
        """Returns dx/dt, [B, Z].

        Args:
            points: [B, Z], whitened.
            time: Scalar or [B, 1], 0 (noise) to 1 (codes).
            std: Of the noise at time 0: scalar or [B, 1].
            condition: [B, condition_dim], where the flow has one.
        """
        return self._velocity_and_slopes(points, time, std, condition, None)[0]

    def _velocity_and_slopes(self, points, time, std, condition, directions):
        """Returns the velocity [B, Z] and its derivatives along `directions` [P, Z] (or None), [B, P, Z]."""
        rows = tf.ones_like(points[:, :1])
        time, std = rows * time, rows * tf.clip_by_value(std, *STDS)
        told = _features(time, std)
        if self.condition_dim:
            told = tf.concat([told, condition], axis=-1)
        # The mean speed at a point where codes are Gaussian: 0 where s is 1.
        cosine, sine = tf.cos(0.5 * math.pi * time), tf.sin(0.5 * math.pi * time)
        slope = 0.5 * math.pi * cosine * sine * (1.0 - std**2) / ((cosine * std) ** 2 + sine**2)
        x = self.first(points) + self.told[0](told)
        # Derivatives go the same way as values, layer by layer, but for what is added to all.
        along = None if directions is None else tf.linalg.matmul(directions, self.first.kernel)[tf.newaxis]
        for inner, outer, layer in zip(self.inner, self.outer, self.told[1:], strict=True):
            hidden, slopes = _activated(x, along, inner)
            change, slopes = _activated(hidden + layer(told), slopes, outer)
            x, along = x + change, None if along is None else along + slopes
        velocity, slopes = _activated(x, along, self.last)
        return slope * points + velocity, None if slopes is None else slope[:, tf.newaxis] * directions + slopes

    def draw(self, noise, std, condition=None):
        """Returns latents [B, Z] of noise [B, Z] from N(0, std^2 I), std scalar or [B], by `steps` steps.

        At std 1 they are those of `from_base`, but for the steps' error.
        """
        std = tf.reshape(tf.convert_to_tensor(std, tf.float32), [-1, 1])
        points, size = tf.convert_to_tensor(noise, tf.float32), 1.0 / self.steps
        for number in range(self.steps):  # Written out: a loop of the graph costs more than its small steps.
            points, _ = _step(lambda *at: (self.velocity(*at, std, condition), 0.0), points, number * size, size)
        return self._latents(points)

    def _latents(self, points):
        return self.shift + tf.linalg.matmul(points, self.root, transpose_b=True)

    @tf.function(autograph=False)
    def from_base(self, noise, condition=None):
        """Returns the latents [B, Z] of noise [B, Z] from N(0, I)."""
        change = self._change(condition)
        return self._latents(_integrated(change, tf.convert_to_tensor(noise, tf.float32), 0.0, 1.0)[0])

    @tf.function(autograph=False)
    def to_base(self, latents, condition=None):
        """Returns the noise [B, Z] from N(0, I) that latents [B, Z] are made of."""
        return _integrated(self._change(condition), self.whitened(latents), 1.0, 0.0)[0]

    @tf.function(autograph=False)
    def log_prob(self, latents, condition=None):
        """Returns log p(z) in nats, [B], of latents [B, Z]; see `EXACT_TRACE`."""
        change = lambda points, time: self._velocity_and_divergence(points, time, condition)  # noqa: E731
        noise, integral = _integrated(change, self.whitened(latents), 1.0, 0.0)
        volume = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(self.root)))
        return tf.reduce_sum(normal.log_pdf(noise), axis=-1) + integral - volume

    def _change(self, condition):
        return lambda points, time: (self.velocity(points, time, 1.0, condition), tf.zeros_like(points[:, 0]))

    def _velocity_and_divergence(self, points, time, condition):
        """Returns v [B, Z] and sum_i dv_i/dx_i [B], of a scalar time."""
        if self.latent_dim <= EXACT_TRACE:
            probes, weight = np.eye(self.latent_dim, dtype=np.float32), 1.0
        else:  # Signs at random (Hutchinson 1990); the same for all points, so that a row depends on nothing else.
            random = np.random.default_rng(0)
            probes = random.choice(np.float32([-1, 1]), (_PROBES, self.latent_dim))
            weight = 1.0 / _PROBES
        velocity, slopes = self._velocity_and_slopes(points, time, 1.0, condition, tf.constant(probes))
        return velocity, weight * tf.reduce_sum(slopes * probes, axis=[1, 2])

    def get_config(self):
        names = ("latent_dim", "units", "blocks", "steps", "condition_dim", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _activated(x, along, layer):
    """Returns layer(silu(x)) [B, n] and its derivatives [B, P, n] (or None), of x [B, m] and its own [B or 1, P, m]."""
    gate = tf.sigmoid(x)
    if along is not None:
        slope = gate * (1.0 + x * (1.0 - gate))
        along = tf.linalg.matmul(along * slope[:, tf.newaxis], layer.kernel)
    return layer(x * gate), along


def _step(change, points, time, size):
    """Returns the points at `time` + `size` and the integral, by the classical method of Runge and Kutta.

    Args:
        change: From (points, time) to the speed of the points and a rate that is integrated beside them.
        points: [B, Z].
        time: Scalar.
        size: Scalar, negative for the way back.
    """
    half = 0.5 * size
    a, e = change(points, time)
    b, f = change(points + half * a, time + half)
    c, g = change(points + half * b, time + half)
    d, h = change(points + size * c, time + size)
    return points + size / 6.0 * (a + 2.0 * (b + c) + d), size / 6.0 * (e + 2.0 * (f + g) + h)


def _integrated(change, points, start, stop):
    """Returns (the points at `stop`, the integral between), by `_STEPS` steps; arguments as `_step`'s."""
    size = (stop - start) / _STEPS

    def step(number, points, total):
        points, more = _step(change, points, start + tf.cast(number, tf.float32) * size, size)
        return number + 1, points, total + more

    begin = 0, points, tf.zeros_like(points[:, 0])
    return tf.while_loop(lambda number, *_: number < _STEPS, step, begin)[1:]
