"""The fit of a mixture of Gaussians with full covariances to codes (Ghosh et al. 2020), by expectation-maximisation."""

import math
import warnings

import numpy as np

from tfvae.model.mixture import Mixture

_CODES = 40_000  # At least; of few images several codes each.
# A full covariance of Z latents is told from no fewer codes of different images than this many times Z.
_IMAGES_PER_LATENT = 2


def fit(codes, components, seed=0):
    """Returns the `Mixture` that fits codes, of fewer components where there are few images.

    Args:
        codes: The `codes.Codes` of the training images.
        components: Gaussians, at most.
        seed: Of the codes that are drawn, and of the first guess.
    """
    number, latent_dim = codes.mean.shape
    rows = np.tile(np.arange(number), math.ceil(_CODES / number))
    components = max(1, min(components, number // (_IMAGES_PER_LATENT * latent_dim)))
    return of_points(codes.sample(np.random.default_rng(seed), rows), components, seed)


def of_points(points, components, seed=0):
    """Returns the `Mixture` of `components` Gaussians that fits `points` [N, Z]."""
    from sklearn import exceptions, mixture  # Here: a second that trainings without it need not wait for.

    found = mixture.GaussianMixture(components, covariance_type="full", reg_covar=1e-6, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        # Steps that are stopped early leave a density all the same.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        found.fit(np.asarray(points, np.float64))
    # scikit-learn multiplies rows by its factors from the right, so they are the transposes of ours.
    return Mixture.of(found.weights_, found.means_, np.swapaxes(found.precisions_cholesky_, 1, 2))
