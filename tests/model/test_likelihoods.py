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
    grey, parameters = IMAGES[..., :1], np.repeat(PARAMETERS[..., :1], likelihood.parameters_per_pixel(1), -1)
    rgb = np.repeat(grey, 3, axis=-1)
    parts = [np.repeat(part, 3, -1) for part in np.split(parameters, likelihood.parameters_per_pixel(1), axis=-1)]
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


def test_a_sigma_for_each_channel_is_three_grey_likelihoods():
    sigmas = (0.1, 0.2, 0.4)
    likelihood = likelihoods.Gaussian("learned", sigmas=3)
    start = likelihoods.Gaussian("learned").log_prob(IMAGES, PARAMETERS)
    np.testing.assert_allclose(likelihood.log_prob(IMAGES, PARAMETERS), start, rtol=1e-5)
    likelihood.scaled_log_sigma.assign(likelihood.scaled_log_sigma * np.log(sigmas) / np.log(0.5))
    np.testing.assert_allclose(likelihood.sigma, sigmas, rtol=1e-5)
    expected = sum(reference.gaussian(IMAGES[..., [c]], PARAMETERS[..., [c]], sigma) for c, sigma in enumerate(sigmas))
    np.testing.assert_allclose(likelihood.log_prob(IMAGES, PARAMETERS), expected, rtol=1e-4)


def test_optimal_sigmas_are_those_of_the_channels():
    likelihood = likelihoods.Gaussian("optimal", sigmas=3)
    errors = np.float32([0.1, 0.2, 0.4]) * RANDOM.choice([-1, 1], IMAGES.shape).astype(np.float32)
    likelihood.observe(IMAGES, IMAGES + errors, tf.constant([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(likelihood.sigma, [0.1, 0.2, 0.4], rtol=1e-5)


def logistic_mixture(channels, components, seed=0):
    """Returns a mixture's parameters for one pixel, and the probabilities [256] by component and channel."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=components)
    means, log_scales = random.uniform(-0.2, 1.2, (components, channels)), random.uniform(-4, 0, (components, channels))
    offsets = (np.arange(components) + 0.5) / components - 0.5
    parameters = np.concatenate([logits, (means - offsets[:, None]).ravel(), log_scales.ravel()]).astype(np.float32)
    weights = np.exp(logits) / np.exp(logits).sum()

    def masses(component, channel):
        return reference.logistic_masses(means[component, channel], np.exp(log_scales[component, channel] - 2.0))

    return parameters, weights, masses


def test_a_logistic_mixture_is_the_mixture_of_its_logistics():
    parameters, weights, masses = logistic_mixture(channels=1, components=3)
    levels = (np.arange(256) / 255).astype(np.float32).reshape(256, 1, 1, 1)
    likelihood = likelihoods.LogisticMixture(1, 3)
    log_prob = likelihood.log_prob(levels, np.broadcast_to(parameters, (256, 1, 1, 9)))
    expected = sum(weight * masses(component, 0) for component, weight in enumerate(weights))
    np.testing.assert_allclose(np.exp(log_prob), expected, rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, rtol=1e-4)


def test_a_logistic_mixture_of_colours_sums_to_one_and_its_channels_share_the_component():
    parameters, weights, masses = logistic_mixture(channels=2, components=3)
    grid = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), axis=-1).reshape(-1, 1, 1, 2)
    likelihood = likelihoods.LogisticMixture(2, 3)
    probabilities = np.exp(likelihood.log_prob((grid / 255).astype(np.float32), parameters))
    np.testing.assert_allclose(probabilities.sum(), 1.0, rtol=1e-4)
    expected = sum(weight * np.outer(masses(k, 0), masses(k, 1)) for k, weight in enumerate(weights))
    np.testing.assert_allclose(probabilities.reshape(256, 256), expected, rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_a_logistic_mixture_is_its_expectation(seed):
    parameters, weights, masses = logistic_mixture(channels=3, components=4, seed=seed)
    expected = [
        sum(weight * masses(k, channel) @ np.arange(256) / 255 for k, weight in enumerate(weights))
        for channel in range(3)
    ]
    mean = likelihoods.LogisticMixture(3, 4).mean(parameters[np.newaxis, np.newaxis, np.newaxis])
    np.testing.assert_allclose(mean[0, 0, 0], expected, atol=0.5 / 255)


@pytest.mark.parametrize("extreme", [-1e6, 0.0, 1e6])
def test_a_logistic_mixture_has_finite_gradients_far_away(extreme):
    parameters = tf.Variable(tf.fill([1, 2, 2, 2 * 7], tf.constant(extreme, tf.float32)))
    likelihood = likelihoods.LogisticMixture(3, 2)
    with tf.GradientTape() as tape:
        log_prob = likelihood.log_prob(tf.constant(IMAGES[:1, :2, :2]), parameters)
    assert np.all(np.isfinite(log_prob)) and np.all(np.isfinite(tape.gradient(log_prob, parameters)))
    assert np.all((likelihood.mean(parameters) >= 0) & (likelihood.mean(parameters) <= 1))


def test_leading_axes_are_kept_by_a_logistic_mixture():
    parameters = RANDOM.normal(size=(2, 3, 5, 4, 14)).astype(np.float32)
    likelihood = likelihoods.LogisticMixture(3, 2)
    log_prob = likelihood.log_prob(IMAGES, parameters)
    assert log_prob.shape == (2, 3) and likelihood.mean(parameters).shape == (2, *IMAGES.shape)
    np.testing.assert_allclose(log_prob[1], likelihood.log_prob(IMAGES, parameters[1]), rtol=1e-6)


@pytest.mark.parametrize("likelihood", [likelihoods.Gaussian("learned", sigmas=3), likelihoods.LogisticMixture(3, 2)])
def test_compiled_likelihoods_are_the_plain_ones(likelihood):
    parameters = tf.constant(RANDOM.normal(0.5, 0.3, (3, 5, 4, likelihood.parameters_per_pixel(3))), tf.float32)

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            log_prob = likelihood.log_prob(tf.constant(IMAGES), parameters)
        return log_prob, tape.gradient(log_prob, parameters)

    for plain, fast in zip(gradient(), tf.function(gradient, jit_compile=True)(), strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-4, atol=1e-4)
