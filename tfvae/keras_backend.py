"""What Keras runs on and computes in: TensorFlow and float32, whatever the environment and keras.json say."""

import contextlib
import json
import os
import pathlib
import sys

from tfvae.settings import UserError


def _chosen(name, default):
    """Returns what Keras has for "backend" or "floatx", or would have once it is imported; does not import it."""
    if sys.modules.get("keras") is not None:
        return getattr(sys.modules["keras"].config, name)()
    with contextlib.suppress(OSError, ValueError, AttributeError):  # Keras, too, takes no notice of a damaged file.
        folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
        default = json.loads((folder / "keras.json").read_text(encoding="utf-8")).get(name, default)
    return os.environ.get("KERAS_BACKEND") or default if name == "backend" else default


def use_tensorflow():
    """Makes Keras, which is not imported yet, run on TensorFlow; says in one line where something else was chosen."""
    backend = _chosen("backend", "tensorflow")
    if backend != "tensorflow":
        print(f"KERAS_BACKEND={backend} is not used: tfvae runs on TensorFlow.", file=sys.stderr)
    os.environ["KERAS_BACKEND"] = "tensorflow"


def check():
    """Checks, before this package imports Keras, that it can be used here.

    Raises:
        UserError: If it runs on another backend than TensorFlow, or computes in another type than float32.
    """
    backend, floatx = _chosen("backend", "tensorflow"), _chosen("floatx", "float32")
    if backend != "tensorflow":
        raise UserError(
            f"tfvae needs Keras on TensorFlow, got {backend}: set KERAS_BACKEND=tensorflow before Keras is imported."
        )
    if floatx != "float32":
        raise UserError(f"tfvae needs Keras's floatx to be float32, got {floatx}: see keras.json.")
