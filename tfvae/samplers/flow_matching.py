"""The fit of a continuous flow to codes, by flow matching: least squares, without solving an ODE.

Kept are the averaged weights (an exponential moving average) whose error on held-out codes is least, so that few images
are not learned by heart.
"""

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvae.samplers.continuous_flow import STDS, ContinuousFlow, on_path

STEPS, BATCH = 4_000, 256
_RATE, _DECAY, _MOMENTUM = 2e-3, 1e-4, 0.999
_LOOK, _PATIENCE = 100, 5  # Steps between two looks at held-out codes; looks without an improvement that end the fit.
_HELD = 4_096  # Pairs of noise and held-out codes that are looked at.
_WHOLE = 0.5  # Share of the noise that has std 1, the one that densities and walks are of.


def _pairs(codes, number, random):
    """Returns codes, noise, times and the noise's std of `number` points: [n, Z], [n, Z], [n, 1], [n, 1] float32."""
    latents = codes.sample(random, random.integers(len(codes.mean), size=number))
    stds = np.where(random.random((number, 1)) < _WHOLE, 1.0, random.uniform(*STDS, (number, 1)))
    noise = stds * random.standard_normal(latents.shape)
    times = 1 / (1 + np.exp(-random.standard_normal((number, 1))))  # More of them in the middle (Esser et al. 2024).
    return [np.asarray(part, np.float32) for part in (latents, noise, times, stds)]


def _error(flow, latents, noise, times, stds):
    """Returns the mean squared error of the velocity, summed over latents."""
    points, speed = on_path(noise, flow.whitened(latents), times)
    return tf.reduce_mean(tf.reduce_sum(tf.square(flow.velocity(points, times, stds) - speed), axis=-1))


def fit(codes, held_out, seed=0, steps=STEPS, **arguments):
    """Returns the `ContinuousFlow` that fits codes.

    Args:
        codes: The `codes.Codes` of the training images.
        held_out: Those of other images.
        seed: Of the first weights, and of all that is drawn.
        steps: Of the optimizer, at most.
        **arguments: As `ContinuousFlow`'s.
    """
    latent_dim = codes.mean.shape[1]
    flow, averaged = (ContinuousFlow(latent_dim, seed=seed, **arguments) for _ in range(2))
    mean, covariance = codes.moments()
    jitter = 1e-6 * np.diag(covariance).mean() + 1e-12
    for one in (flow, averaged):
        one.whiten(mean, covariance + jitter * np.eye(latent_dim))
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(_RATE, steps), weight_decay=_DECAY, clipnorm=1.0
    )
    weights = flow.trainable_variables
    optimizer.build(weights)

    @tf.function(jit_compile=True, autograph=False)
    def train(number, *pairs):
        with tf.GradientTape() as tape:
            error = _error(flow, *pairs)
        optimizer.apply(tape.gradient(error, weights), weights)
        momentum = tf.minimum(_MOMENTUM, (1.0 + number) / (10.0 + number))
        for average, weight in zip(averaged.trainable_variables, weights, strict=True):
            average.assign(momentum * average + (1.0 - momentum) * weight)

    @tf.function(jit_compile=True, autograph=False)
    def held_error(*pairs):
        return _error(averaged, *pairs)

    random = np.random.default_rng([seed, 0])
    held = list(map(tf.constant, _pairs(held_out, _HELD, np.random.default_rng([seed, 1]))))
    least, best, looks = float(held_error(*held)), averaged.get_weights(), 0
    with tqdm(total=steps, desc="Fitting the sampler", unit="step", delay=2.0, leave=False, disable=None) as bar:
        for number in range(steps):
            train(tf.constant(number, tf.float32), *map(tf.constant, _pairs(codes, BATCH, random)))
            bar.update()
            if (number + 1) % _LOOK == 0 or number + 1 == steps:
                error, looks = float(held_error(*held)), looks + 1
                if error < least:
                    least, best, looks = error, averaged.get_weights(), 0
                if looks == _PATIENCE:
                    break
    averaged.set_weights(best)
    return averaged
