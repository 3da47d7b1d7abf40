"""Bounds against a linear Gaussian model, of which log p(x) is known in closed form."""

import numpy as np
import pytest
from scipy import stats

from tfvae import serving
from tfvae.evaluation import bound

SIGMA = 0.3


class Linear:
    """p(z) = N(0, I), p(x|z) = N(W z, SIGMA^2 I), behind the interface of `serving.Served`."""

    def __init__(self):
        self.weights = np.random.default_rng(0).normal(size=(12, 2))
        self.calls = []

    def log_prob(self, images, latents):
        self.calls.append(len(latents))
        flat, means = np.reshape(images, (len(images), -1)), latents @ self.weights.T
        return serving.LogProb(
            stats.norm.logpdf(flat, means, SIGMA).sum(axis=1),
            stats.norm.logpdf(latents).sum(axis=1),
            np.square(flat - means).sum(axis=1),
        )

    def log_evidence(self, images):
        covariance = self.weights @ self.weights.T + SIGMA**2 * np.eye(12)
        return stats.multivariate_normal(np.zeros(12), covariance).logpdf(images.reshape(len(images), -1))

    def posterior(self, images, wider=0.0):
        precision = np.eye(2) + self.weights.T @ self.weights / SIGMA**2
        means = images.reshape(len(images), -1) @ self.weights @ np.linalg.inv(precision) / SIGMA**2
        variances = 1 / np.diag(precision)  # Of the best factorised one.
        return serving.Posterior(means, np.broadcast_to(np.log(variances) + wider, means.shape))


@pytest.fixture
def model():
    return Linear()


@pytest.fixture
def images(model):
    random = np.random.default_rng(1)
    latents = random.normal(size=(5, 2))
    return (latents @ model.weights.T + SIGMA * random.normal(size=(5, 12))).reshape(5, 2, 2, 3)


def test_many_codes_give_the_evidence_and_fewer_give_less(model, images):
    posterior = model.posterior(images, wider=0.5)
    weights = bound.log_weights(model, images, posterior, 4000, seed=0)
    by_samples = [bound.importance_weighted(weights, k).mean() for k in (1, 2, 5, 20, 4000)]
    assert all(np.diff(by_samples) > 0)
    np.testing.assert_allclose(bound.importance_weighted(weights, 4000), model.log_evidence(images), atol=0.05)


def test_one_code_is_the_elbo(model, images):
    posterior = model.posterior(images)
    repeated = np.repeat(images, 2000, axis=0)
    many = serving.Posterior(*(np.repeat(column, 2000, axis=0) for column in posterior))
    measured = bound.measure(model, repeated, many, seed=3)
    weights = bound.log_weights(model, images, posterior, 2000, seed=4)
    np.testing.assert_allclose(
        measured.elbo.reshape(5, 2000).mean(axis=1), bound.importance_weighted(weights, 1), atol=0.15
    )
    # KL(q || p) in closed form.
    mean, log_variance = posterior
    rate = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
    np.testing.assert_allclose(measured.rate.reshape(5, 2000).mean(axis=1), rate, atol=0.15)


def test_chunks_bound_the_memory_and_change_nothing(model, images, monkeypatch):
    posterior = model.posterior(images)
    whole = bound.log_weights(model, images, posterior, 50, seed=0)
    monkeypatch.setattr(bound, "_CHUNK_BYTES", 7 * images[0].nbytes)
    model.calls.clear()
    done = []
    np.testing.assert_allclose(bound.log_weights(model, images, posterior, 50, 0, done.append), whole, rtol=1e-6)
    assert max(model.calls) == 7 and sum(done) == 250


def test_latents_that_say_nothing_of_the_image_are_not_active():
    means = np.random.default_rng(0).normal(size=(1000, 4)) * [1.0, 0.2, 0.05, 0.0]
    assert bound.active_units(means) == 2


def test_bits_per_dim():
    assert bound.bits_per_dim(-3 * np.log(2), 6) == pytest.approx(0.5)
