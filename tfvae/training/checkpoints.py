"""Checkpoints: all that a training is, as one `.npz` file a moment, so that it goes on bit for bit."""

import pathlib
import re

import numpy as np

from tfvae import config, files

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
    arrays = [variable.numpy() for variable in _state(vae)]
    if not all(np.all(np.isfinite(array)) for array in arrays if array.dtype.kind == "f"):
        raise config.UserError(
            f"Weights are not finite at step {step}; any checkpoint before it is kept. Try a lower --lr."
        )
    folder = pathlib.Path(folder)
    contents = {f"{index:04d}": array for index, array in enumerate(arrays)} | {"step": step}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_arrays(folder / f"{step:09d}.npz", contents)
        for _, path in _files(folder)[KEPT:]:
            path.unlink()
    except OSError as error:
        raise config.UserError(
            f"Cannot write a checkpoint into {folder}: {error.strerror or error}; any before it is kept, and "
            "--resume goes on from the newest one."
        ) from None


def _read(path, step):
    """Returns the arrays of the state, in their order; raises an error of any kind where the file is damaged."""
    contents = files.read_arrays(path)
    if int(contents.pop("step")) != step:
        raise ValueError("another step than its name says")
    return [contents[name] for name in sorted(contents)]


def set_aside_after(folder, step):
    """Renames checkpoints of later steps, which `restore` found damaged: else they would count as the last two."""
    for number, path in _files(folder):
        if number > step:
            path.rename(path.with_suffix(".npz.damaged"))


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
            arrays = _read(path, step)
        except Exception as error:  # A damaged file can raise nearly anything in there.
            before = ": using the checkpoint before it" if path != found[-1][1] else ", and there is none before it"
            print(f"{path} is damaged ({' '.join(str(error).split()) or type(error).__name__}){before}.", flush=True)
            continue
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in state]:
            raise config.UserError(f"{path} is of another model than flags.cfg beside it describes.")
        for variable, array in zip(state, arrays, strict=True):
            variable.assign(array)
        return step
    if not found:
        return 0
    raise config.UserError(f"{folder} holds no readable checkpoint: start again under another --name.")
