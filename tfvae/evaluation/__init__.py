"""Measures of a trained model on held-out images, one file a measure."""

from tfvae.evaluation.measures import measure

__all__ = ["measure"]
