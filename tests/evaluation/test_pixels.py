"""Measures of pixels: SSIM and PSNR against their definitions, sharpness of known blur, copies that are there."""

import math

import numpy as np
import pytest

from tfvae.evaluation import memorisation, reconstruction, sharpness


@pytest.fixture
def random():
    return np.random.default_rng(0)


def ssim_of_definition(x, y):
    """Wang et al. 2004, equation 13, of [H, W], window by window."""
    at = np.arange(-5, 6)
    window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (image[top : top + 11, left : left + 11] for image in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            found.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * both + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )
    return np.mean(found)


def test_ssim_is_that_of_its_definition(random):
    images = random.uniform(size=(3, 14, 17, 2))
    others = np.clip(images + random.normal(0, 0.1, images.shape), 0, 1)
    expected = [
        np.mean([ssim_of_definition(x[..., c], y[..., c]) for c in range(2)])
        for x, y in zip(images, others, strict=True)
    ]
    np.testing.assert_allclose(reconstruction.ssim(images, others), expected, rtol=1e-6)
    np.testing.assert_allclose(reconstruction.ssim(images, images), 1.0)
    assert reconstruction.ssim(images[:, :9, :9], images[:, :9, :9]).shape == (3,)  # Smaller than the window.


def test_psnr_of_known_errors():
    images = np.full((70, 4, 4, 1), 0.5, np.float32)
    errors = reconstruction.mean_squared_errors(images, images + np.float32(0.1))
    np.testing.assert_allclose(reconstruction.psnr(errors), 20.0, rtol=1e-5)
    assert reconstruction.psnr(0.0) == pytest.approx(100.0)


def test_blur_lowers_sharpness_by_the_known_factor():
    at = np.arange(256)
    frequency = 2 * np.pi / 16
    waves = np.broadcast_to(0.5 + 0.4 * np.sin(frequency * at), (2, 9, 256))[..., None]
    # [1/4, 1/2, 1/4] multiplies a wave by (1 + cos w) / 2.
    blurred = 0.25 * np.roll(waves, 1, 2) + 0.5 * waves + 0.25 * np.roll(waves, -1, 2)
    ratio = sharpness.gradient_magnitude(blurred) / sharpness.gradient_magnitude(waves)
    assert ratio == pytest.approx((1 + np.cos(frequency)) / 2, rel=1e-4)
    ramp = np.zeros((1, 5, 5, 3)) + 0.1 * np.arange(5)[:, None, None]
    assert sharpness.gradient_magnitude(ramp) == pytest.approx(0.1)


def test_copies_are_found_exactly_and_distances_are_those_of_the_definition(random, monkeypatch):
    training = random.integers(0, 256, (50, 6, 5, 3), dtype=np.uint8)
    images = np.float32(random.uniform(size=(8, 6, 5, 3)))
    images[3] = training[41] / np.float32(255)
    monkeypatch.setattr(memorisation, "_AT_ONCE", 7)
    done = []
    distances, numbers = memorisation.nearest(images, lambda rows: training[rows], 50, done.append)
    every = np.sqrt(np.square(images[:, None] - training[None] / 255.0).mean(axis=(2, 3, 4)))
    np.testing.assert_allclose(distances, every.min(axis=1), atol=1e-6)
    assert numbers.tolist() == every.argmin(axis=1).tolist()
    assert distances[3] == 0 and numbers[3] == 41 and sum(done) == 50


def test_of_images_without_edges_sharpness_says_nothing():
    black = np.zeros((3, 8, 8, 3), np.float32)
    assert math.isnan(sharpness.ratio(black, black))
    ramp = np.linspace(0, 1, 8, dtype=np.float32)[:, None, None] + black
    assert sharpness.ratio(ramp / 2, ramp) == pytest.approx(0.5)
