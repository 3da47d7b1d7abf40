"""What an export draws codes from: the prior that was trained, or a density that is fitted to the codes afterwards.

The codes of all images together are seldom N(0, I), and where there are no codes the decoder has learned nothing:
Ghosh et al. (2020) draw from a mixture of 10 Gaussians that is fitted to the codes. The bound and its numbers are those
of the trained prior, whatever codes are drawn from.
"""

import math
import warnings

import numpy as np
import tensorflow as tf

from tfvae.model import DiagonalGaussian
from tfvae.model.mixture import Mixture

_MOST_IMAGES = 50_000
_CODES = 40_000  # At least; of few images several codes each.
_BATCH = 64
# A full covariance of Z latents is told from no fewer codes of different images than this many times Z.
_IMAGES_PER_LATENT = 2


def make(vae, settings, load):
    """Returns the prior or a fitted density, as `--sampler` says: what `serving.export` takes as its sampler.

    Args:
        vae: A `tfvae.VAE`; the weights are taken as they are.
        settings: A `config.ModelConfig`, with a seed.
        load: Called without arguments, for the `data.Data` to fit to, where it is needed.
    """
    return _SAMPLERS[settings.sampler](vae, settings, load)


def _aggregate(vae, settings, load):
    """Returns the `Mixture` that fits the codes of the training images, and says how well it fits those of the test.

    It is fitted to samples of each image's posterior rather than to the means: latents that say nothing have means
    near zero and would make covariances that are singular, and the decoder has learned to draw samples.
    """
    images = load()
    random = np.random.default_rng(settings.seed)
    numbers = images.spread("train", _MOST_IMAGES)
    posterior = posterior_of(vae, images, "train", numbers)
    noise = random.standard_normal((math.ceil(_CODES / len(numbers)), *posterior.mean.shape), np.float32)
    codes = posterior.sample(noise).numpy().reshape(-1, vae.latent_dim)
    components = max(1, min(settings.components, len(numbers) // (_IMAGES_PER_LATENT * vae.latent_dim)))
    mixture = fit(codes, components, settings.seed)
    test = posterior_of(vae, images, "test", np.arange(images.num_test))
    latents = test.sample(random.standard_normal(test.mean.shape, np.float32))
    rates = [f"{name} {float(tf.reduce_mean(test.log_prob(latents) - density.log_prob(latents))):.4g}"
             for name, density in (("its", mixture), ("the prior's", vae.prior))]  # fmt: skip
    fewer = f" (not {settings.components}: each needs {_IMAGES_PER_LATENT} images a latent)"
    print(
        f"aggregate: a mixture of {components} Gaussians{fewer * (components < settings.components)} for the codes of "
        f"{len(numbers):,} images; rate of the test images: {', '.join(rates)}",
        flush=True,
    )
    return mixture


def fit(codes, components, seed=0):
    """Returns the `Mixture` of `components` Gaussians with full covariances that fits `codes` [N, Z] (EM)."""
    from sklearn import exceptions, mixture  # Here: a second that trainings without it need not wait for.

    found = mixture.GaussianMixture(components, covariance_type="full", reg_covar=1e-6, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        # Steps that are stopped early leave a density all the same.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        found.fit(np.asarray(codes, np.float64))
    # scikit-learn multiplies rows by its factors from the right, so they are the transposes of ours.
    return Mixture.of(found.weights_, found.means_, np.swapaxes(found.precisions_cholesky_, 1, 2))


def posterior_of(vae, images, split, numbers):
    """Returns the `DiagonalGaussian` [N, Z] of the images `numbers` of a split of a `data.Data`."""

    @tf.function(input_signature=[tf.TensorSpec([None, *vae.image_shape], tf.uint8)], autograph=False)
    def encode(pixels):
        return vae.encode(tf.cast(pixels, tf.float32) / 255)

    chunks = [numbers[start : start + _BATCH] for start in range(0, len(numbers), _BATCH)]
    batches = [encode(tf.constant(images.images(split, chunk))) for chunk in chunks]
    return DiagonalGaussian(*(tf.concat(parts, axis=0) for parts in zip(*batches, strict=True)))


_SAMPLERS = {"prior": lambda vae, settings, load: vae.prior, "aggregate": _aggregate}
