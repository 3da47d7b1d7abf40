"""The one table that maps the names of settings to parts, and the model made of them."""

import keras

from tfvae import config
from tfvae.model import likelihoods, networks, objectives, priors
from tfvae.model.schedules import Schedule
from tfvae.model.vae import VAE

NETWORKS = {"residual": networks.residual, "convolutional": networks.convolutional}

LIKELIHOODS = {
    "gaussian": lambda settings: likelihoods.Gaussian("learned"),
    "gaussian_optimal": lambda settings: likelihoods.Gaussian("optimal"),
    "gaussian_fixed": lambda settings: likelihoods.Gaussian(settings.sigma),
    "bernoulli": lambda settings: likelihoods.Bernoulli(),
    "logistic": lambda settings: likelihoods.DiscretisedLogistic(),
}

PRIORS = {
    "normal": lambda settings: priors.StandardNormal(),
    "flow": lambda settings: priors.Flow(settings.latent_dim),
}

OBJECTIVES = {
    "elbo": lambda settings, steps: objectives.ELBO(),
    "beta": lambda settings, steps: objectives.Beta(
        Schedule(settings.beta_schedule, settings.beta, max(1, round(settings.beta_epochs * steps)))
    ),
    # Free nats of a group: of one latent under N(0, I), of all together under a flow.
    "free_bits": lambda settings, steps: objectives.FreeBits(
        settings.free_bits * (settings.latent_dim if settings.prior == "flow" else 1)
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
    if settings.prior == "flow" and settings.latent_dim < 2:
        raise config.UserError(f"--latent_dim must be at least 2 for --prior=flow, got {settings.latent_dim}.")
    keras.utils.set_random_seed(seed)
    likelihood = LIKELIHOODS[settings.likelihood](settings)
    parameters = image_shape[-1] * likelihood.parameters_per_channel
    encoder, decoder = NETWORKS[settings.network](image_shape, settings.latent_dim, parameters, settings.width)
    objective = OBJECTIVES[settings.objective](settings, steps_per_epoch)
    return VAE(encoder, decoder, likelihood, PRIORS[settings.prior](settings), objective, ema=ema, seed=seed)
