"""The formulas of the model once more, in float64 NumPy and SciPy, written from their definitions."""

import numpy as np
from scipy import stats


def kl_to_standard_normal(mean, log_variance):
    """KL(N(mean, exp(log_variance)) || N(0, I)) of each latent, by quadrature over 20,001 points."""
    sigma = np.exp(0.5 * log_variance)[..., None]
    points = mean[..., None] + sigma * np.linspace(-12, 12, 20_001)
    posterior = stats.norm(mean[..., None], sigma)
    integrand = posterior.pdf(points) * (posterior.logpdf(points) - stats.norm.logpdf(points))
    return np.trapezoid(integrand, points, axis=-1)


def gaussian(images, parameters, sigma):
    """log N(images; parameters, sigma^2), summed over H, W and C."""
    return stats.norm.logpdf(images, parameters, sigma).sum(axis=(-3, -2, -1))


def bernoulli(images, logits):
    """log Bernoulli(images; sigmoid(logits)), for binary images."""
    return stats.bernoulli.logpmf(images.astype(int), 1 / (1 + np.exp(-logits))).sum(axis=(-3, -2, -1))


def discretised_logistic(levels, mean, scale):
    """log of a logistic's mass between the midpoints around each of the levels 0 to 255, in units of 1/255."""
    distribution = stats.logistic(255 * mean, 255 * scale)
    above = np.where(levels == 255, 1.0, distribution.cdf(levels + 0.5))
    below = np.where(levels == 0, 0.0, distribution.cdf(levels - 0.5))
    return np.log(above - below).sum(axis=(-3, -2, -1))


def logistic_masses(mean, scale):
    """Probabilities [256] of the levels under a logistic in units of the pixel range, the tails taken by the ends."""
    inner = stats.logistic(255 * mean, 255 * scale).cdf(np.arange(255) + 0.5)
    return np.diff([0.0, *inner, 1.0])
