"""Whether drawn codes can be told from those of images: the classifier's share against closed forms."""

import numpy as np
import pytest

from tfvae.evaluation import codes


def gaussian(number, mean, seed):
    return np.random.default_rng(seed).normal(mean, 1.0, (number, 2)).astype(np.float32)


@pytest.mark.parametrize(("distance", "expected"), [(0, 0.5), (1, 0.6915), (4, 0.9772)])  # Phi(distance / 2).
def test_the_share_is_that_of_the_best_classifier(distance, expected):
    real, drawn = gaussian(3000, [0, 0], 0), gaussian(3000, [distance, 0], 1)
    held = gaussian(3000, [0, 0], 2), gaussian(1000, [distance, 0], 3)
    assert codes.accuracy(real, drawn, *held) == pytest.approx(expected, abs=0.025)
