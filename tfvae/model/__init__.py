"""The model: tensors in, tensors out. It knows nothing of files, flags or data sets."""

from tfvae.model.build import build
from tfvae.model.posteriors import DiagonalGaussian
from tfvae.model.vae import VAE, Terms

__all__ = ["VAE", "DiagonalGaussian", "Terms", "build"]
