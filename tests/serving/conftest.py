"""Tiny exports, each made once: colour and grey, both kinds of network and all kinds of prior."""

from typing import NamedTuple

import numpy as np
import pytest
import session

from tfvae import config, model, samplers, serving


class Exported(NamedTuple):
    """A model and what was written of it."""

    vae: model.VAE
    settings: config.TrainConfig
    served: serving.Served
    test_images: np.ndarray  # uint8 [n, H, W, C]
    sampler: object  # One of `tfvae.samplers`.


VARIANTS = {
    "colour": ((12, 10, 3), {"network": "convolutional", "background": "red"}),
    "grey": ((9, 13, 1), {"network": "residual", "prior": "normal", "fit": "pad"}),
    "mixture": (
        (8, 8, 3),
        {"network": "convolutional", "prior": "mixture", "likelihood": "logistic_mixture"},
    ),
    "matching": ((8, 8, 3), {"network": "convolutional", "prior": "normal"}),
}
USUAL = ["colour", "grey"]  # For all tests; the others for those that look into what codes are drawn from.


def make(variant, base_dir):
    """Returns the `Exported` of a variant, written to `base_dir`."""
    image_shape, parts = VARIANTS[variant]
    settings = config.TrainConfig(width=8, latent_dim=4, image_size=image_shape[0], **parts)
    vae = model.build(settings, image_shape, ema=0.9, seed=0)
    random = np.random.default_rng(0)
    for variable in vae.prior.trainable_variables:  # Fresh weights make the flow the identity.
        variable.assign_add(random.normal(0, 0.005, variable.shape).astype(np.float32))
    last = vae.encoder.trainable_variables[-2]  # A fresh encoder gives all images almost one code.
    last.assign(last * np.where(np.arange(last.shape[-1]) < settings.latent_dim, 20.0, 1.0).astype(np.float32))
    test_images = random.integers(0, 256, (18, *image_shape), dtype=np.uint8)
    sampler = vae.prior
    if variant == "matching":
        sampler = samplers.ContinuousFlow(settings.latent_dim, units=16, blocks=1)
        for weight in sampler.last.trainable_variables:  # A fresh flow is an affine map.
            weight.assign(random.normal(0, 0.1, weight.shape).astype(np.float32))
    version = serving.export(vae, settings, base_dir, test_images, sampler=sampler)
    return Exported(vae, settings, serving.Served(version), test_images, sampler)


@pytest.fixture(scope="session", params=USUAL)
def exported(request, tmp_path_factory):
    return make(request.param, tmp_path_factory.mktemp("exports") / request.param)


@pytest.fixture
def random():
    return np.random.default_rng(1)


@pytest.fixture(scope="session")
def cpp(exported):
    """The same export in TensorFlow's C++ runtime."""
    opened = session.Session(exported.served.path)
    yield opened
    opened.close()
