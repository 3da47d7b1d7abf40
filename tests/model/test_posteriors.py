import numpy as np
import reference
import tensorflow as tf
from scipy import stats

from tfvae.model import DiagonalGaussian

RANDOM = np.random.default_rng(0)
MEAN = RANDOM.normal(size=(3, 4)).astype(np.float32)
LOG_VARIANCE = RANDOM.normal(size=(3, 4)).astype(np.float32)
POSTERIOR = DiagonalGaussian(tf.constant(MEAN), tf.constant(LOG_VARIANCE))


def test_kl_is_the_integral():
    expected = reference.kl_to_standard_normal(MEAN.astype(np.float64), LOG_VARIANCE.astype(np.float64))
    np.testing.assert_allclose(POSTERIOR.kl_to_standard_normal(), expected, rtol=1e-4, atol=1e-5)


def test_kl_of_the_prior_itself_is_zero():
    same = DiagonalGaussian(tf.zeros([2, 3]), tf.zeros([2, 3]))
    np.testing.assert_array_equal(same.kl_to_standard_normal(), np.zeros([2, 3]))


def test_log_prob_is_scipys():
    latents = RANDOM.normal(size=(5, 3, 4)).astype(np.float32)
    expected = stats.norm.logpdf(latents, MEAN, np.exp(0.5 * LOG_VARIANCE)).sum(axis=-1)
    np.testing.assert_allclose(POSTERIOR.log_prob(latents), expected, rtol=1e-4)


def test_samples_have_the_posteriors_moments():
    noise = RANDOM.normal(size=(200_000, 3, 4)).astype(np.float32)
    samples = POSTERIOR.sample(noise).numpy()
    np.testing.assert_allclose(samples.mean(axis=0), MEAN, atol=0.03)
    np.testing.assert_allclose(samples.var(axis=0), np.exp(LOG_VARIANCE), rtol=0.03)


def test_log_variance_is_bounded_and_otherwise_what_the_encoder_says():
    posterior = DiagonalGaussian.from_parameters(tf.constant([[0.0, 0.0, 0.0, 1e9, -1e9, 0.3]]))
    np.testing.assert_allclose(posterior.log_variance, [[12, -12, 0.3]], rtol=1e-3)
    assert np.all(np.isfinite(posterior.kl_to_standard_normal()))


def test_parameters_in_half_precision_become_float32():
    posterior = DiagonalGaussian.from_parameters(tf.zeros([1, 4], tf.bfloat16))
    assert posterior.mean.dtype == posterior.log_variance.dtype == tf.float32
