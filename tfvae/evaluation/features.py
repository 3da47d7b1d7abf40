"""Distances between sets of images in the features of the attribute reader: never to be compared with Inception's.

Sources: Heusel et al. 2017 (Frechet distance); Binkowski et al. 2018 (KID); Kynkaanniemi et al. 2019 (precision and
recall); Naeem et al. 2020 (density and coverage).
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.spatial import distance
from sklearn import metrics

_NEIGHBOURS = 5


class Distances(NamedTuple):
    """How one set of images compares with another one, in features."""

    frechet: float  # 0 is the same mean and covariance
    kernel: float  # the squared maximum mean discrepancy, unbiased: around 0 for the same distribution
    precision: float  # share of the images within the data's manifold
    recall: float  # share of the data within the images' manifold
    density: float  # how deep within the data's manifold: 1 for the data itself
    coverage: float  # share of the data that has an image in its neighbourhood


def frechet_distance(one, other):
    """Returns |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of features [N, F] and [M, F]."""
    covariances = [np.atleast_2d(np.cov(features, rowvar=False)) for features in (one, other)]
    # The trace of the root from its eigenvalues: a singular product has no root to iterate to.
    root = np.sqrt(np.maximum(linalg.eigvals(covariances[0] @ covariances[1]).real, 0)).sum()
    difference = one.mean(axis=0) - other.mean(axis=0)
    return float(max(difference @ difference + np.trace(covariances[0] + covariances[1]) - 2 * root, 0.0))


def kernel_distance(one, other):
    """Returns the unbiased squared MMD under the kernel (x y / F + 1)^3 of features [N, F] and [M, F]."""

    def kernel(a, b):
        return metrics.pairwise.polynomial_kernel(a, b, degree=3, coef0=1)

    def mean_off_diagonal(a):
        values = kernel(a, a)
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    return float(mean_off_diagonal(one) + mean_off_diagonal(other) - 2 * kernel(one, other).mean())


def compare(samples, data):
    """Returns the `Distances` of samples' features [N, F] to the data's [M, F].

    All in units of the data's own standard deviation (of all features together), for a reader's have any scale.
    """
    deviation = np.sqrt(np.var(np.asarray(data, np.float64), axis=0).mean()) or 1.0
    samples, data = (np.asarray(features, np.float64) / deviation for features in (samples, data))
    k = min(_NEIGHBOURS, len(samples) - 1, len(data) - 1)

    def radii(features):
        # The nearest neighbour of each is itself.
        return np.partition(distance.cdist(features, features), k, axis=1)[:, k]

    distances = distance.cdist(data, samples)
    within_data, within_samples = distances < radii(data)[:, None], distances < radii(samples)[None]
    return Distances(
        frechet_distance(samples, data),
        kernel_distance(samples, data),
        float(within_data.any(axis=0).mean()),
        float(within_samples.any(axis=1).mean()),
        float(within_data.sum(axis=0).mean() / k),
        float(within_data.any(axis=1).mean()),
    )


def add(scene, put, images, read):
    """Adds the distances of samples to test images in the reader's features."""
    found = compare(scene.analyst.reader.features(images), read.test_features)
    floor = compare(read.other_features, read.test_features)
    words = {
        "frechet": ("reader_frechet_distance", "lower", "Frechet distance in the reader's features, not Inception's"),
        "kernel": ("reader_kernel_distance", "lower", "KID's squared MMD in the reader's features"),
        "precision": ("reader_precision", "higher", "share of samples within the manifold of test images"),
        "recall": ("reader_recall", "higher", "share of test images within the manifold of samples"),
        "density": ("reader_density", "higher", "how deep samples lie within the manifold of test images"),
        "coverage": ("reader_coverage", "higher", "share of test images with a sample in their neighbourhood"),
    }
    for key, (name, better, text) in words.items():
        put(name, getattr(found, key), getattr(floor, key), "", better, text)
