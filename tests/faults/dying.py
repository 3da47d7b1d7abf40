"""A training that kills itself at a named moment: `python dying.py MOMENT FLAGS...`, with the flags of tfvae.train.

SIGKILL cannot be caught: no `finally` runs, no buffer is written, as when a machine's memory is short.
"""

import os
import pathlib
import signal
import sys


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner, name, condition=lambda *arguments: True):
    """Makes the process die where `owner.name` is called with arguments that meet `condition`."""
    original = getattr(owner, name)

    def replaced(*arguments, **named):
        if condition(*arguments):
            die()
        return original(*arguments, **named)

    setattr(owner, name, replaced)


def _while_preparing():
    from tensorflow_datasets.core import dataset_info

    _before(dataset_info.DatasetInfo, "write_to_directory")


def _while_compiling():
    from tfvae.model.vae import VAE

    _before(VAE, "train_step")


def _in_a_step():
    from tfvae.training import callbacks

    _before(callbacks.Progress, "on_train_batch_end", lambda self, *_: self.step == 2)


def _after_metrics():
    from tfvae.training import callbacks

    _before(callbacks.Records, "_draw")


def _while_writing_a_checkpoint():
    import numpy as np

    original = np.savez

    def half(file, **arrays):
        original(file, **arrays)
        file.truncate(file.tell() // 2)
        die()

    np.savez = half


def _before_a_rename():
    _before(os, "replace", lambda _, target: pathlib.Path(target).name == f"{int(os.environ['LAST_STEP']):09d}.npz")


def _while_exporting():
    from tfvae import serving

    assert serving
    _before(sys.modules["tfvae.serving.export"], "_write_extras")


def _after_the_export():
    from tfvae import serving

    original = serving.export

    def export(*arguments, **named):
        original(*arguments, **named)
        die()

    serving.export = export


MOMENTS = {
    "while TFDS prepares": _while_preparing,
    "in the first compilation": _while_compiling,
    "in a step of the first epoch": _in_a_step,
    "after a line of metrics.jsonl": _after_metrics,
    "in the middle of writing a checkpoint": _while_writing_a_checkpoint,
    "before the last checkpoint has its name": _before_a_rename,
    "while the export is written": _while_exporting,
    "after the export": _after_the_export,
}


if __name__ == "__main__":
    from tfvae import commandline, config, train

    moment = sys.argv.pop(1)

    def main(settings, files):
        MOMENTS[moment]()
        train.main(settings, files)

    commandline.run(config.TrainConfig, main)
