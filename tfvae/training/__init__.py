"""Training: `fit` takes settings to an exported model; the run folder holds all that is known of it."""

from tfvae import keras_backend

keras_backend.check()  # Before the rest, which imports Keras.

from tfvae.training.fit import export_run, fit  # noqa: E402

__all__ = ["export_run", "fit"]
