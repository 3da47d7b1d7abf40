"""Training: `fit` takes settings to an exported model; the run folder holds all that is known of it."""

from tfvae.training.fit import export_run, fit

__all__ = ["export_run", "fit"]
