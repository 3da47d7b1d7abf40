"""Serving: a model written as a SavedModel (`export`), and a SavedModel opened and called (`Served`).

`Served` needs the SavedModel alone: no model code is imported here.
"""

from tfvae.serving.export import export
from tfvae.serving.served import LogProb, Posterior, Served, find, open_export, seeds

__all__ = ["LogProb", "Posterior", "Served", "export", "find", "open_export", "seeds"]
