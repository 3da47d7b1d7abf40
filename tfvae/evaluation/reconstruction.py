"""How near one image is to another: squared error, PSNR, and SSIM.

Source: Wang, Bovik, Sheikh and Simoncelli 2004 (SSIM).
"""

import numpy as np
from scipy import ndimage

from tfvae.evaluation import sharpness
from tfvae.evaluation.scene import with_floor

_SIGMA, _REACH = 1.5, 5  # The window of Wang et al.: Gaussian, 11 x 11.
_SMALLEST = 1e-10  # Images that are equal have 100 dB.
_AT_ONCE = 64


def mean_squared_errors(images, others):
    """Returns the mean squared error of each pair of images [N, H, W, C] in [0, 1], [N]."""
    chunks = range(0, len(images), _AT_ONCE)
    parts = [np.square(images[c : c + _AT_ONCE] - others[c : c + _AT_ONCE]).mean(axis=(1, 2, 3)) for c in chunks]
    return np.concatenate(parts).astype(np.float64)


def psnr(mean_squared_error):
    """Returns 10 log10(1 / MSE) in dB, at most 100."""
    return -10 * np.log10(np.maximum(mean_squared_error, _SMALLEST))


def ssim(images, others):
    """Returns the structural similarity of each pair of images [N, H, W, C] in [0, 1], [N].

    The mean over channels and over the pixels whose window lies within the image.
    """
    chunks = range(0, len(images), _AT_ONCE)
    return np.concatenate([_ssim(images[c : c + _AT_ONCE], others[c : c + _AT_ONCE]) for c in chunks])


def _window_mean(images):
    return ndimage.gaussian_filter(images, (0, _SIGMA, _SIGMA, 0), truncate=_REACH / _SIGMA)


def _ssim(x, y):
    x, y = (np.asarray(images, np.float64) for images in (x, y))
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x, variance_y = _window_mean(x * x) - mean_x**2, _window_mean(y * y) - mean_y**2
    covariance = _window_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    inside = [slice(_REACH, size - _REACH) if size > 2 * _REACH else slice(None) for size in x.shape[1:3]]
    return similarity[:, inside[0], inside[1]].mean(axis=(1, 2, 3))


def add(scene):
    """Adds the numbers of reconstructions from posterior means; returns the mean squared error of each test image."""
    put, both = scene.results.into("reconstruction of test images"), (scene.test, scene.other)
    errors = with_floor(lambda held: mean_squared_errors(held.images, held.reconstructions), *both)
    put("mse", *with_floor(np.mean, *errors), "", "lower", "mean squared error, pixels in [0, 1], of posterior means")
    put("psnr", *with_floor(lambda one: psnr(one.mean()), *errors), "dB", "higher", "10 log10(1 / mse)")
    put("psnr_worst", *with_floor(lambda one: psnr(one.max()), *errors), "dB", "higher", "of the worst image")
    similarities = with_floor(lambda held: ssim(held.images, held.reconstructions).mean(), *both)
    put("ssim", *similarities, "", "higher", "structural similarity, Gaussian window of 11 x 11")
    ratios = with_floor(lambda held: sharpness.ratio(held.reconstructions, held.images), *both)
    put("sharpness", *ratios, "", "1", "mean gradient magnitude over that of the images")
    return errors[0]
