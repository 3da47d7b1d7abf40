"""The model: tensors in, tensors out. It knows nothing of files, flags or data sets."""

from tfvae import keras_backend

keras_backend.check()  # Before the rest, which imports Keras.

from tfvae.model.build import build  # noqa: E402
from tfvae.model.posteriors import DiagonalGaussian  # noqa: E402
from tfvae.model.vae import VAE, Terms  # noqa: E402

__all__ = ["VAE", "DiagonalGaussian", "Terms", "build"]
