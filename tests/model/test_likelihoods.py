import math

import numpy as np
import pytest
import reference
import tensorflow as tf

from tfvae.model import likelihoods

RANDOM = np.random.default_rng(0)
LEVELS = RANDOM.integers(0, 256, (3, 5, 4, 3))
LEVELS[0, 0, 0] = 0, 255, 128
IMAGES = (LEVELS / 255).astype(np.float32)
PARAMETERS = RANDOM.normal(0.5, 0.3, IMAGES.shape).astype(np.float32)


def test_gaussian_is_scipys():
    expected = reference.gaussian(IMAGES, PARAMETERS, 0.3)
    np.testing.assert_allclose(likelihoods.Gaussian(0.3).log_prob(IMAGES, PARAMETERS), expected, rtol=1e-4)


def test_sigma_of_half_variance_gives_the_squared_error():
    likelihood = likelihoods.Gaussian(math.sqrt(0.5))
    at_the_mean = likelihood.log_prob(IMAGES, IMAGES)
    squared_error = ((IMAGES - PARAMETERS) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(at_the_mean - likelihood.log_prob(IMAGES, PARAMETERS), squared_error, rtol=1e-4)


def test_bernoulli_is_scipys_and_survives_large_logits():
    binary = (IMAGES > 0.5).astype(np.float32)
    logits = 5 * PARAMETERS
    expected = reference.bernoulli(binary, logits.astype(np.float64))
    np.testing.assert_allclose(likelihoods.Bernoulli().log_prob(binary, logits), expected, rtol=1e-4)
    assert np.all(np.isfinite(likelihoods.Bernoulli().log_prob(binary, 1e6 * logits)))


def test_discretised_logistic_is_the_mass_between_midpoints():
    mean = IMAGES + 0.1 * PARAMETERS  # Near enough that the reference, a difference of two cdfs, has digits left.
    log_scale = RANDOM.uniform(-1, 1, IMAGES.shape).astype(np.float32)
    expected = reference.discretised_logistic(LEVELS, mean.astype(np.float64), np.exp(log_scale - 2.0))
    both = np.concatenate([mean, log_scale], axis=-1)
    np.testing.assert_allclose(likelihoods.DiscretisedLogistic().log_prob(IMAGES, both), expected, rtol=1e-3)


def test_discretised_logistic_sums_to_one_over_levels():
    levels = (np.arange(256) / 255).astype(np.float32).reshape(256, 1, 1, 1)
    parameters = np.broadcast_to(np.float32([0.3, -1.0]), (256, 1, 1, 2))
    total = tf.reduce_sum(tf.exp(likelihoods.DiscretisedLogistic().log_prob(levels, parameters)))
    np.testing.assert_allclose(total, 1.0, rtol=1e-4)


@pytest.mark.parametrize("extreme", [-1e6, 1e6])
def test_discretised_logistic_has_finite_gradients_far_away(extreme):
    parameters = tf.Variable(tf.fill([1, 2, 2, 2], tf.constant(extreme, tf.float32)))
    with tf.GradientTape() as tape:
        log_prob = likelihoods.DiscretisedLogistic().log_prob(tf.zeros([1, 2, 2, 1]), parameters)
    assert np.all(np.isfinite(log_prob)) and np.all(np.isfinite(tape.gradient(log_prob, parameters)))


@pytest.mark.parametrize(
    "likelihood", [likelihoods.Gaussian(0.1), likelihoods.Bernoulli(), likelihoods.DiscretisedLogistic()]
)
def test_rgb_is_three_times_grey(likelihood):
    grey, parameters = IMAGES[..., :1], np.repeat(PARAMETERS[..., :1], likelihood.parameters_per_channel, -1)
    rgb = np.repeat(grey, 3, axis=-1)
    parts = [np.repeat(part, 3, -1) for part in np.split(parameters, likelihood.parameters_per_channel, axis=-1)]
    tripled = likelihood.log_prob(rgb, np.concatenate(parts, axis=-1))
    np.testing.assert_allclose(tripled, 3 * likelihood.log_prob(grey, parameters), rtol=1e-5)


def test_leading_axes_are_kept():
    several = np.stack([PARAMETERS, PARAMETERS + 0.1])
    log_prob = likelihoods.Gaussian(0.3).log_prob(IMAGES, several)
    assert log_prob.shape == (2, 3)
    np.testing.assert_allclose(log_prob[0], likelihoods.Gaussian(0.3).log_prob(IMAGES, PARAMETERS), rtol=1e-6)


def test_optimal_sigma_is_the_root_of_the_mean_squared_error_without_padding():
    likelihood = likelihoods.Gaussian("optimal")
    weights = tf.constant([1.0, 1.0, 0.0])
    likelihood.observe(IMAGES, PARAMETERS, weights)
    expected = math.sqrt(((IMAGES - PARAMETERS)[:2] ** 2).mean())
    np.testing.assert_allclose(likelihood.sigma, expected, rtol=1e-5)
    # No other sigma explains these two images better.
    here = tf.reduce_sum(likelihood.log_prob(IMAGES, PARAMETERS)[:2])
    for other in (0.95 * expected, 1.05 * expected):
        assert here > tf.reduce_sum(likelihoods.Gaussian(other).log_prob(IMAGES, PARAMETERS)[:2])


def test_sigma_never_falls_below_what_rounding_to_levels_leaves():
    likelihood = likelihoods.Gaussian("optimal")
    likelihood.observe(IMAGES, IMAGES, tf.ones([3]))
    np.testing.assert_allclose(likelihood.sigma, 1 / (255 * math.sqrt(12)), rtol=1e-5)


def test_learned_sigma_has_a_gradient_that_leads_to_the_optimum():
    likelihood = likelihoods.Gaussian("learned")
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(likelihood.log_prob(IMAGES, IMAGES + 0.01))
    assert tape.gradient(loss, likelihood.scaled_log_sigma.value) > 0  # Sigma, 0.5 at first, is far too large.


def test_a_sigma_that_is_none_is_refused():
    with pytest.raises(ValueError, match="sigma must be"):
        likelihoods.Gaussian(0)
