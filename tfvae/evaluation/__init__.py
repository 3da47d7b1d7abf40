"""Measures of a trained model on held-out images, one file a measure.

`measure` is what training says of a model in memory; `evaluate` is all that can be said of an export.
"""

import importlib

__all__ = ["evaluate", "measure"]


def __getattr__(name):
    # At first use only: the processes that redraw avatars need neither TensorFlow nor what else is heavy.
    if name == "measure":
        return importlib.import_module("tfvae.evaluation.measures").measure
    if name == "evaluate":
        return importlib.import_module("tfvae.evaluation.command").evaluate
    raise AttributeError(f"module 'tfvae.evaluation' has no attribute {name!r}")
