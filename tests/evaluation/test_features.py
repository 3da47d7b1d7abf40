"""Distances of sets of features, where they are known."""

import numpy as np
import pytest

from tfvae.evaluation import features


@pytest.fixture
def data():
    return np.random.default_rng(0).normal(size=(400, 3))


def test_frechet_distance_of_gaussians(data):
    assert features.frechet_distance(data, data) == pytest.approx(0, abs=1e-6)
    assert features.frechet_distance(data + [3, 0, 4], data) == pytest.approx(25)
    # Of covariances C and 4 C: tr(C + 4 C - 2 (4 C C)^(1/2)) = tr(C).
    centred = data - data.mean(axis=0)
    assert features.frechet_distance(2 * centred, centred) == pytest.approx(np.trace(np.cov(data.T)))
    flat = np.column_stack([data[:, :2], np.zeros(400)])  # A feature that never changes.
    assert features.frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_is_the_unbiased_one(data):
    one, other = data[:9], data[9:17] + 1

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    within = [
        np.mean([kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j]) for a in (one, other)
    ]
    between = np.mean([kernel(x, y) for x in one for y in other])
    assert features.kernel_distance(one, other) == pytest.approx(sum(within) - 2 * between)
    assert abs(features.kernel_distance(data[:200], data[200:])) < 0.1


def test_precision_recall_density_and_coverage(data):
    same = features.compare(data, data)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert same.density == pytest.approx(1)  # Each neighbourhood holds its own image and k - 1 others.
    far = features.compare(data + 100, data)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
    alike = features.compare(np.repeat(data[:1], 50, axis=0) + 1e-9 * data[:50], data)  # One image again and again.
    assert alike.precision == 1 and alike.recall < 0.05 and alike.coverage < 0.05
