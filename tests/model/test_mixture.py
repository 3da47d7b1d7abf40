import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfvae.model import DiagonalGaussian, priors
from tfvae.model.mixture import GAIN, Mixture


def random_mixture(latent_dim, components, seed=0, apart=2.0):
    """Returns a mixture and the same as (weights, means, covariances)."""
    random = np.random.default_rng(seed)
    weights, means = random.dirichlet(np.full(components, 3.0)), apart * random.normal(size=(components, latent_dim))
    roots = np.tril(random.normal(size=(components, latent_dim, latent_dim)), -1)
    roots += np.exp(0.5 * random.normal(size=(components, 1, latent_dim))) * np.eye(latent_dim)
    covariances = roots @ np.swapaxes(roots, 1, 2)
    return Mixture.of(weights, means, np.linalg.inv(roots)), (weights, means, covariances)


def draw(parts, number, seed=1):
    weights, means, covariances = parts
    random = np.random.default_rng(seed)
    chosen = random.choice(len(weights), number, p=weights)
    return np.stack([random.multivariate_normal(means[k], covariances[k]) for k in chosen]).astype(np.float32)


@pytest.mark.parametrize(("latent_dim", "components"), [(1, 2), (2, 2), (5, 4)])
def test_log_prob_is_scipys(latent_dim, components):
    mixture, parts = random_mixture(latent_dim, components)
    latents = draw(parts, 20)
    expected = np.log(sum(w * stats.multivariate_normal(m, c).pdf(latents) for w, m, c in zip(*parts, strict=True)))
    np.testing.assert_allclose(mixture.log_prob(latents), expected, rtol=1e-4, atol=1e-4)


def test_one_standard_component_is_the_standard_normal():
    mixture, normal = Mixture(latent_dim=6, components=1), priors.StandardNormal()
    latents = np.random.default_rng(0).normal(0, 2, (4, 6)).astype(np.float32)
    np.testing.assert_allclose(mixture.log_prob(latents), normal.log_prob(latents), rtol=1e-5)
    np.testing.assert_allclose(mixture.from_base(latents), latents, atol=1e-6)
    np.testing.assert_allclose(mixture.to_base(latents), latents, atol=1e-6)


def test_a_new_mixture_is_nearly_the_standard_normal_with_components_that_differ():
    mixture, normal = Mixture(latent_dim=64), priors.StandardNormal()
    latents = np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)
    assert np.abs(mixture.log_prob(latents) - normal.log_prob(latents)).max() < 3
    assert np.ptp(mixture._means.numpy(), axis=0).min() > 0


def test_base_noise_of_one_latent_is_the_quantile_of_its_cdf():
    mixture, (weights, means, covariances) = random_mixture(1, 2)
    latents = np.linspace(-8, 8, 101).astype(np.float32)
    components = [
        stats.norm(mean[0], covariance[0, 0] ** 0.5) for mean, covariance in zip(means, covariances, strict=True)
    ]
    below, above = (
        sum(weight * getattr(one, side)(latents) for weight, one in zip(weights, components, strict=True))
        for side in ("cdf", "sf")
    )
    expected = np.where(below < above, stats.norm.ppf(below), stats.norm.isf(above))
    np.testing.assert_allclose(mixture.to_base(latents[:, np.newaxis])[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize(("latent_dim", "components"), [(1, 3), (2, 5), (6, 4)])
def test_there_and_back(latent_dim, components):
    mixture, parts = random_mixture(latent_dim, components)
    latents = draw(parts, 200)
    np.testing.assert_allclose(mixture.from_base(mixture.to_base(latents)), latents, atol=1e-3)
    noise = np.random.default_rng(3).normal(size=(2, 100, latent_dim)).astype(np.float32)
    np.testing.assert_allclose(mixture.to_base(mixture.from_base(noise)), noise, atol=1e-3)


def test_there_and_back_in_as_many_latents_as_models_have():
    random = np.random.default_rng(0)
    factors = []
    for _ in range(3):
        turn, _ = np.linalg.qr(random.normal(size=(64, 64)))
        covariance = turn * 10 ** random.uniform(-3, 0.5, 64) @ turn.T
        factors.append(np.linalg.inv(np.linalg.cholesky(covariance)))
    mixture = Mixture.of(np.array([0.2, 0.3, 0.5]), random.normal(size=(3, 64)), np.stack(factors))
    noise = random.normal(size=(50, 64)).astype(np.float32)
    latents = mixture.from_base(noise)
    np.testing.assert_allclose(mixture.to_base(latents), noise, atol=1e-3)
    np.testing.assert_allclose(mixture.from_base(mixture.to_base(latents)), latents, atol=1e-4)


@pytest.mark.parametrize("size", [10.0, 1000.0])
def test_there_and_back_from_far_away(size):
    mixture, _ = random_mixture(3, 4)
    noise = size * np.random.default_rng(3).choice([-1, 1], (50, 3)).astype(np.float32)
    latents = mixture.from_base(noise)
    assert np.all(np.isfinite(latents))
    np.testing.assert_allclose(mixture.to_base(latents), noise, rtol=1e-3)
    np.testing.assert_allclose(tf.function(mixture.to_base, jit_compile=True)(latents), noise, rtol=1e-3)


@pytest.mark.filterwarnings("error")
def test_tight_components_far_apart_are_all_found():
    weights, means = np.array([0.2, 0.5, 0.3]), np.array([[-4.0, 0.0], [0.0, 3.0], [5.0, -2.0]])
    mixture = Mixture.of(weights, means, np.stack([100 * np.eye(2)] * 3))
    noise = np.random.default_rng(0).normal(size=(4000, 2)).astype(np.float32)
    latents = mixture.from_base(noise).numpy()
    distances = np.linalg.norm(latents[:, None] - means, axis=-1)
    assert distances.min(axis=1).max() < 0.06
    np.testing.assert_allclose(np.bincount(distances.argmin(axis=1)) / 4000, weights, atol=0.03)
    # Of the latents, float32 has 1e-7 of 5, which is 5e-5 of a component's width.
    np.testing.assert_allclose(mixture.to_base(latents), noise, atol=1e-3)


def test_log_prob_is_that_of_the_noise_and_the_determinant_of_the_jacobian():
    mixture, parts = random_mixture(3, 4)
    latents = draw(parts, 10)
    latents = tf.constant(latents)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(latents)
        noise = mixture.to_base(latents)
    jacobian = tape.batch_jacobian(noise, latents, experimental_use_pfor=False)
    np.testing.assert_allclose(np.triu(jacobian, 1), 0, atol=1e-6)  # One latent after another.
    log_determinant = np.log(np.diagonal(jacobian, axis1=1, axis2=2)).sum(axis=1)
    expected = priors.StandardNormal().log_prob(noise) + log_determinant
    np.testing.assert_allclose(mixture.log_prob(latents), expected, rtol=1e-3, atol=1e-3)


def test_noise_becomes_the_mixture():
    mixture, parts = random_mixture(3, 4)
    latents = mixture.from_base(np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)).numpy()
    weights, means, covariances = parts
    mean = weights @ means
    covariance = np.einsum("k,kij->ij", weights, covariances + np.einsum("ki,kj->kij", means - mean, means - mean))
    np.testing.assert_allclose(latents.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(np.cov(latents.T), covariance, rtol=0.05, atol=0.2)
    for axis in range(3):
        drawn = draw(parts, 2000)[:, axis]
        assert stats.ks_2samp(latents[:2000, axis], drawn).pvalue > 1e-3


def test_a_row_depends_on_itself_alone():
    mixture, _ = random_mixture(4, 3)
    noise = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    together = mixture.from_base(noise).numpy()
    for row in range(20):
        np.testing.assert_allclose(mixture.from_base(noise[row : row + 1])[0], together[row], rtol=1e-6, atol=1e-6)


def test_a_graph_with_rows_unknown_answers_the_same():
    mixture, _ = random_mixture(4, 3)
    noise = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    spec = [tf.TensorSpec([None, 4], tf.float32)]
    for method in (mixture.from_base, mixture.to_base, mixture.log_prob):
        graph = tf.function(method, input_signature=spec, autograph=False)
        np.testing.assert_allclose(graph(noise), method(noise), rtol=1e-5, atol=1e-5)


def test_rates_estimate_the_divergence():
    posterior = DiagonalGaussian(tf.constant([[0.5, -1.0]]), tf.constant([[-1.0, 0.3]]))
    latents = posterior.sample(np.random.default_rng(0).normal(size=(200_000, 2)).astype(np.float32))
    rates = Mixture(2, 1).rates(posterior, latents)
    assert rates.shape == (200_000, 1)
    expected = tf.reduce_sum(priors.StandardNormal().rates(posterior, latents))
    np.testing.assert_allclose(tf.reduce_mean(rates), expected, rtol=0.01)


def test_training_finds_a_mixture():
    _, parts = random_mixture(2, 3, apart=3.0)
    latents = tf.constant(draw(parts, 4000))
    expected = np.log(sum(w * stats.multivariate_normal(m, c).pdf(latents) for w, m, c in zip(*parts, strict=True)))
    keras.utils.set_random_seed(0)
    mixture, optimizer = Mixture(2, 6), keras.optimizers.Adam(0.05 / GAIN)
    before = tf.reduce_mean(mixture.log_prob(latents))

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(mixture.log_prob(latents))
        optimizer.apply(tape.gradient(loss, mixture.trainable_variables), mixture.trainable_variables)

    for _ in range(600):
        step()
    after = tf.reduce_mean(mixture.log_prob(latents))
    assert after > expected.mean() - 0.05 > before + 1


def test_no_components_are_refused():
    with pytest.raises(ValueError, match="at least 1 component"):
        Mixture(2, 0)
