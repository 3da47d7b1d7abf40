"""The continuous flow: densities in closed form, both ways, what it is told, and its fit to codes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfvae.samplers import ContinuousFlow, continuous_flow, flow_matching
from tfvae.samplers.codes import Codes

RANDOM = np.random.default_rng(0)
ROOT = np.tril(RANDOM.normal(size=(4, 4))) * 0.5 + np.eye(4)
MEAN = RANDOM.normal(size=4)


def certain(points, variance=1e-4):
    """Returns the `Codes` of images whose posteriors are nearly points."""
    points = np.asarray(points, np.float32)
    return Codes(points, np.full(points.shape, np.log(variance), np.float32))


def disturbed(flow, size=0.3):
    """Gives a flow's last layer weights, so that its map is no affine one."""
    for number, weight in enumerate(flow.last.trainable_variables):
        weight.assign(size * np.random.default_rng(number).normal(size=weight.shape) / np.sqrt(flow.units))
    return flow


def normals(number, latent_dim, seed=1):
    return np.random.default_rng(seed).normal(size=(number, latent_dim)).astype(np.float32)


def test_a_new_flow_is_the_gaussian_that_it_is_whitened_by():
    flow = ContinuousFlow(4)
    flow.whiten(MEAN, ROOT @ ROOT.T)
    points = normals(200, 4) @ ROOT.T + MEAN
    expected = stats.multivariate_normal(MEAN, ROOT @ ROOT.T).logpdf(points)
    np.testing.assert_allclose(flow.log_prob(tf.constant(points, tf.float32)), expected, atol=0.02)
    np.testing.assert_allclose(flow.from_base(normals(5, 4)), normals(5, 4) @ ROOT.T + MEAN, atol=0.01)
    narrow = flow.draw(0.7 * normals(5, 4), np.full(5, 0.7, np.float32))
    np.testing.assert_allclose(narrow, normals(5, 4) @ ROOT.T + MEAN, atol=0.01)  # N(0, 0.7^2) has the same image.


def test_codes_of_a_gaussian_are_fitted_to_their_density():
    draw = [
        np.random.default_rng(seed).normal(size=(number, 4)) @ ROOT.T + MEAN
        for seed, number in ((0, 20_000), (1, 2_000))
    ]
    flow = flow_matching.fit(certain(draw[0]), certain(draw[1]), steps=500)
    points = draw[1][:500]
    expected = stats.multivariate_normal(MEAN, ROOT @ ROOT.T + 1e-4 * np.eye(4)).logpdf(points)
    found = flow.log_prob(tf.constant(points, tf.float32)).numpy()
    assert abs(np.mean(found - expected)) < 0.02  # Nats.
    assert np.mean(np.abs(found - expected)) < 0.05


def test_two_far_modes_are_drawn_in_their_shares():
    def codes(number, seed):
        random = np.random.default_rng(seed)
        return certain(np.where(random.random((number, 1)) < 0.9, -4, 4) + random.normal(size=(number, 2)), 0.01)

    flow = flow_matching.fit(codes(20_000, 0), codes(2_000, 1), steps=1_000, units=64, blocks=2)
    drawn = flow.from_base(normals(20_000, 2)).numpy()
    assert np.mean(drawn.sum(axis=1) < 0) == pytest.approx(0.9, abs=0.015)
    assert np.mean(np.abs(drawn.mean(axis=1)) < 1.5) < 0.02  # In between there is nothing.
    exact = np.logaddexp(*(np.log(share) + stats.norm(mode, np.sqrt(1.01)).logpdf(drawn).sum(axis=1)
                           for share, mode in ((0.9, -4), (0.1, 4))))  # fmt: skip
    found = flow.log_prob(tf.constant(drawn[:300])).numpy()
    assert np.mean(np.abs(found - exact[:300])) < 0.15


def test_the_way_back_returns_the_noise():
    flow = disturbed(ContinuousFlow(6))
    noise = normals(100, 6)
    latents = flow.from_base(noise)
    assert np.mean(np.abs(latents - noise)) > 0.05
    assert np.mean(np.abs(flow.to_base(latents) - noise)) < 1e-3
    assert np.mean(np.abs(flow.draw(noise, 1.0) - latents)) < 0.05  # In fewer steps.
    assert np.mean(np.abs(flow.from_base(flow.to_base(latents)) - latents)) < 1e-3


def test_the_density_is_that_of_the_map():
    """log p(z) = log N(u) - log |det dz/du|, by finite differences of the map from noise."""
    flow = disturbed(ContinuousFlow(3))
    noise = normals(4, 3)
    latents = flow.from_base(noise).numpy()
    step = 1e-2
    columns = [
        (flow.from_base(noise + step * one) - flow.from_base(noise - step * one)) / (2 * step)
        for one in np.eye(3, dtype=np.float32)
    ]
    volumes = np.linalg.slogdet(np.stack(columns, axis=-1))[1]
    expected = stats.norm.logpdf(noise).sum(axis=1) - volumes
    np.testing.assert_allclose(flow.log_prob(latents), expected, atol=0.02)


def test_hutchinsons_estimate_is_near_the_exact_trace(monkeypatch):
    flow = disturbed(ContinuousFlow(8))
    latents = flow.from_base(normals(64, 8))
    exact = flow.log_prob(latents).numpy()
    monkeypatch.setattr(continuous_flow, "EXACT_TRACE", 4)
    same = ContinuousFlow(8)  # Another: the first one's graph is made.
    same.set_weights(flow.get_weights())
    estimated = same.log_prob(latents).numpy()
    assert abs(np.mean(estimated - exact)) < 0.2 and not np.array_equal(estimated, exact)
    np.testing.assert_allclose(same.log_prob(latents[5:6]), estimated[5:6], atol=1e-3)  # A row is its own.


def test_the_condition_and_the_std_are_heeded():
    flow = disturbed(ContinuousFlow(3, condition_dim=2))
    noise, labels = normals(5, 3), np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]]
    one, other = (flow.from_base(noise, condition=condition).numpy() for condition in (labels, labels[::-1] * 0))
    assert np.abs(one - other).min(axis=1).max() > 1e-4
    np.testing.assert_allclose(flow.to_base(one, condition=labels), noise, atol=5e-3)
    assert flow.log_prob(one, condition=labels).shape == (5,)
    low, half, high, beyond = (flow.draw(noise, std, labels).numpy() for std in (0.1, 0.5, 1.25, 9.0))
    np.testing.assert_array_equal(low, half)  # The nearest of those that it knows.
    np.testing.assert_array_equal(high, beyond)


def test_it_is_saved_and_loaded():
    flow = disturbed(ContinuousFlow(3, units=16, blocks=1))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(flow))
    again.set_weights(flow.get_weights())
    np.testing.assert_array_equal(again.from_base(normals(4, 3)), flow.from_base(normals(4, 3)))


@pytest.mark.parametrize("latent_dim", [1, 512])
def test_few_and_many_latents_and_constant_ones(latent_dim):
    means = normals(40, latent_dim)
    means[:, 0] = 3.0  # A latent that says nothing, with next to no noise.
    codes = Codes(means, np.full(means.shape, -12.0, np.float32))
    flow = flow_matching.fit(codes, codes, steps=3, units=32, blocks=1)
    drawn = flow.from_base(normals(50, latent_dim)).numpy()
    np.testing.assert_allclose(drawn[:, 0], 3.0, atol=0.1)
    assert np.isfinite(flow.log_prob(drawn[:2])).all()


def test_the_same_seed_gives_the_same_flow():
    codes = certain(normals(100, 2))
    one, same, other = (flow_matching.fit(codes, codes, seed, steps=20, units=16) for seed in (3, 3, 4))
    for weight, again in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, again)
    assert not np.array_equal(one.from_base(normals(4, 2)), other.from_base(normals(4, 2)))


def test_few_images_are_not_learned_by_heart():
    """Of 10 images with narrow posteriors, the error on others decides how long the flow is fitted."""
    random = np.random.default_rng(0)
    known, others = (certain(random.normal(size=(number, 4)), 0.01) for number in (10, 500))
    flow = flow_matching.fit(known, others, steps=600, units=64, blocks=2)
    found = float(np.mean(flow.log_prob(tf.constant(others.mean[:200]))))
    assert found > float(np.mean(stats.norm.logpdf(others.mean[:200]).sum(axis=1))) - 5
