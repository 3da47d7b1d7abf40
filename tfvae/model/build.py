"""The one table that maps the names of settings to parts, and the model made of them."""

import math

import keras

from tfvae import config, keras_backend
from tfvae.model import likelihoods, networks, objectives, priors
from tfvae.model.mixture import Mixture
from tfvae.model.schedules import Schedule
from tfvae.model.vae import VAE

NETWORKS = {"residual": networks.residual, "convolutional": networks.convolutional}

# Made from the settings and the number of an image's channels.
LIKELIHOODS = {
    "gaussian": lambda settings, channels: likelihoods.Gaussian("learned", _sigmas(settings, channels)),
    "gaussian_optimal": lambda settings, channels: likelihoods.Gaussian("optimal", _sigmas(settings, channels)),
    "gaussian_fixed": lambda settings, channels: likelihoods.Gaussian(settings.sigma),
    "bernoulli": lambda settings, channels: likelihoods.Bernoulli(),
    "logistic": lambda settings, channels: likelihoods.DiscretisedLogistic(),
    "logistic_mixture": lambda settings, channels: likelihoods.LogisticMixture(channels, settings.logistics),
}


def _sigmas(settings, channels):
    return channels if settings.sigmas == "channels" else 1


PRIORS = {
    "normal": lambda settings: priors.StandardNormal(),
    "flow": lambda settings: priors.Flow(settings.latent_dim),
    "mixture": lambda settings: Mixture(settings.latent_dim, settings.components),
}


def _beta(settings, image_shape):
    """Returns the weight of the rate that is reached.

    The distortion of n numbers with the best sigma is n / 2 log(squared error) and a constant, so a nat of rate has to
    lower the squared error by the share 2 beta / n. With beta in proportion to n it is the same for images of any size
    (compare the normalised beta of Higgins et al. 2017).
    """
    return settings.beta * math.prod(image_shape) / (60 * 60 * 3) if settings.beta_scaled else settings.beta


# Made from the settings, the steps of an epoch and (H, W, C).
OBJECTIVES = {
    "elbo": lambda settings, steps, image_shape: objectives.ELBO(),
    "beta": lambda settings, steps, image_shape: objectives.Beta(
        Schedule(settings.beta_schedule, _beta(settings, image_shape), max(1, round(settings.beta_epochs * steps)))
    ),
    # Free nats of a group: of one latent under N(0, I), of all together under a prior that is learned.
    "free_bits": lambda settings, steps, image_shape: objectives.FreeBits(
        settings.free_bits * (1 if settings.prior == "normal" else settings.latent_dim)
    ),
}


def build(settings, image_shape, steps_per_epoch=1, ema=0.0, seed=0):
    """Returns a new `VAE`, its weights drawn from `seed`.

    Args:
        settings: A `config.ModelConfig`.
        image_shape: (H, W, C), each of H and W at least 8.
        steps_per_epoch: Optimizer steps of an epoch, in which beta's schedules count.
        ema: Momentum of the averaged weights; 0 for none.
        seed: Of the initial weights and of the noise.

    Raises:
        config.UserError: If the settings do not fit each other or the images.
    """
    keras_backend.check()
    if settings.prior == "flow" and settings.latent_dim < 2:
        raise config.UserError(f"--latent_dim must be at least 2 for --prior=flow, got {settings.latent_dim}.")
    keras.utils.set_random_seed(seed)
    channels = image_shape[-1]
    likelihood = LIKELIHOODS[settings.likelihood](settings, channels)
    parameters = likelihood.parameters_per_pixel(channels)
    encoder, decoder = NETWORKS[settings.network](image_shape, settings.latent_dim, parameters, settings.width)
    objective = OBJECTIVES[settings.objective](settings, steps_per_epoch, image_shape)
    return VAE(encoder, decoder, likelihood, PRIORS[settings.prior](settings), objective, ema=ema, seed=seed)
