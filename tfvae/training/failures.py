"""What fails around a training rather than in it, in one line: images that vanish, memory that is short."""

import contextlib
import re

import tensorflow as tf

from tfvae import config

_LONGEST = 200  # Characters of a reason.
_AROUND = r"Detected at|Traceback|Graph execution error|<stack traces|\s"  # Lines that begin so give no reason.
_INPUT = "IteratorGetNext"  # The operation that takes a batch from the pipeline, named in what its errors say.


def in_short(error):
    """Returns what an error says in one line, without TensorFlow's account of where it was raised."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    lines = [line for line in text.splitlines() if line.strip() and not re.match(_AROUND, line)]
    words = re.sub(r"\{\{[^}]*\}\}\s*|\s*\[(\[|Op:).*|.*Iterator::\S+: ", "", lines[0] if lines else "")
    return f"{type(error).__name__}: {words[:_LONGEST]}"


@contextlib.contextmanager
def of_the_pipeline(settings):
    """Makes what the pipeline raises within the block, or a want of memory, a UserError of one line.

    Args:
        settings: The `config.TrainConfig`.
    """
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise config.UserError(
            f"Not enough memory ({in_short(error)}); lower --batch_size, --width or --image_size, under another --name."
        ) from error
    except tf.errors.OpError as error:
        if _INPUT not in str(error):
            raise
        raise config.UserError(
            f"--data={settings.data}: an image cannot be read any more ({in_short(error)}); put it back, and "
            f"--resume --name={settings.run_name} goes on."
        ) from error
