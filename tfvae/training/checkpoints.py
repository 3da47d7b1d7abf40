"""Checkpoints: all that a training is, as one `.npz` file a moment, so that it goes on bit for bit."""

import os
import pathlib
import re
import zipfile

import numpy as np

from tfvae import config

KEPT = 2


def _state(vae):
    """Returns all variables that a step reads or writes: weights, averages, optimizer, metrics."""
    metrics = [variable for tracker in vae.metrics for variable in tracker.variables]
    return [*vae.weights, *vae.averages, *vae.optimizer.variables, *metrics]


def _files(folder):
    """Returns the checkpoints of a folder, (step, path), the newest first."""
    found = ((re.fullmatch(r"(\d+)\.npz", path.name), path) for path in pathlib.Path(folder).glob("*.npz"))
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def save(vae, folder, step):
    """Writes `folder/STEP.npz` under a temporary name, flushes and renames it, and removes all but the last two.

    Raises:
        config.UserError: If a number is not finite, in which case nothing is written, or if the disk refuses.
    """
    arrays = [np.asarray(variable) for variable in _state(vae)]
    if not all(np.all(np.isfinite(array)) for array in arrays if array.dtype.kind == "f"):
        raise config.UserError(
            f"Weights are not finite at step {step}; checkpoints before it are kept. Try a lower --lr."
        )
    folder = pathlib.Path(folder)
    temporary = folder / f"writing-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            np.savez(file, step=step, **{f"{index:04d}": array for index, array in enumerate(arrays)})
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / f"{step:09d}.npz")
        for _, path in _files(folder)[KEPT:]:
            path.unlink()
    except OSError as error:
        raise config.UserError(f"Cannot write a checkpoint into {folder}: {error.strerror}.") from None


def restore(vae, folder):
    """Sets `vae`, built and compiled, to the newest checkpoint that can be read.

    Returns:
        The step of the checkpoint: the number of optimizer steps that were taken; 0 where none was written yet.

    Raises:
        config.UserError: If there are checkpoints, but none that can be read, or they are of another model.
    """
    state, found = _state(vae), _files(folder)
    for step, path in found:
        try:
            # Each member of the archive carries a checksum, which reading it checks.
            with np.load(path, allow_pickle=False) as archive:
                arrays = [archive[f"{index:04d}"] for index in range(len(archive.files) - 1)]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{path} is damaged ({type(error).__name__}): using the checkpoint before it.", flush=True)
            continue
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in state]:
            raise config.UserError(f"{path} is of another model than flags.cfg beside it describes.")
        for variable, array in zip(state, arrays, strict=True):
            variable.assign(array)
        return step
    if not found:
        return 0
    raise config.UserError(f"{folder} holds no readable checkpoint: start again under another --name.")
