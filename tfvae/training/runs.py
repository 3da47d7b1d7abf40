"""The run folder, `runs/NAME/`: its settings and its data, and that nothing in it is overwritten by another run."""

import contextlib
import dataclasses
import hashlib
import json
import re
import sys

import numpy as np

from tfvae import commandline, config, files, locks
from tfvae.data import value_range

TEST_IMAGES = 16  # Kept with a run, and with its exports, as examples.
_LOCK = "lock"
_LOCKS = (_LOCK, f"{_LOCK}.holder")


def folder_of(settings):
    """Returns the folder of the run that `settings` names.

    Raises:
        config.UserError: If it is to be made, and is there as something else.
    """
    folder = config.folder(settings.runs_dir, "--runs_dir") / settings.run_name
    if settings.resume:
        return read(type(settings), settings.runs_dir, settings.run_name)[0]
    if not (folder / "flags.cfg").exists() and _holds_something(folder):
        raise config.UserError(f"{folder} is no run folder, and not empty: choose another --name.")
    return folder


def _holds_something(folder):
    """Returns whether there is more in `folder` than a start that was killed leaves."""
    if not folder.is_dir():
        return folder.exists()
    return any(path.name not in _LOCKS and not re.fullmatch(files.TEMPORARY, path.name) for path in folder.iterdir())


@contextlib.contextmanager
def locked(folder):
    """Holds the lock of a run folder, made where it is missing; a folder that stays empty is removed again.

    Raises:
        config.UserError: If another process trains there, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise config.UserError(f"--runs_dir: cannot write {folder}: {error.strerror}.") from None
    try:
        with locks.held(folder / _LOCK):
            # Nobody else writes here: what has a temporary name was left by a process that was killed.
            for path in [*folder.glob(".tfvae-*"), *folder.glob("*/.tfvae-*")]:
                if re.fullmatch(files.TEMPORARY, path.name):
                    locks.delete(path)
            try:
                yield
            finally:
                if not _holds_something(folder):
                    locks.delete(folder)
    except locks.Held as holder:
        raise config.UserError(
            f"{folder}: {holder} is training there: wait until it has ended, or choose another --name."
        ) from None


def start(settings, folder):
    """Writes the `flags.cfg` of a new run into its folder.

    Raises:
        config.UserError: If the folder holds a run already, or cannot be written.
    """
    if (folder / "flags.cfg").exists():
        raise config.UserError(f"{folder} exists: --resume continues this run, --name=OTHER starts another.")
    try:
        files.write(folder / "flags.cfg", commandline.flagfile(settings))
    except OSError as error:
        raise config.UserError(f"--runs_dir: cannot write {folder}: {error.strerror}.") from None


def forget(folder):
    """Takes back `start`, of a run whose settings or data turned out to be unusable, so that its name is free."""
    locks.delete(folder / "flags.cfg")


def read(settings_class, runs_dir, name):
    """Returns (folder, settings) of the run `name`; UserError where there is no such run."""
    runs_dir = config.path_of(runs_dir)
    folder = runs_dir / name
    if not (folder / "flags.cfg").is_file():
        found = sorted(path.parent.name for path in runs_dir.glob("*/flags.cfg"))
        raise config.UserError(f"--name: no run {name!r} in {runs_dir} (there are: {', '.join(found) or 'none'}).")
    return folder, commandline.read_flagfile(settings_class, folder / "flags.cfg")


def newest(runs_dir):
    """Returns the name of the run that was last written to; UserError where there is none."""
    runs = sorted(config.path_of(runs_dir).glob("*/flags.cfg"), key=lambda path: path.parent.stat().st_mtime)
    if not runs:
        raise config.UserError(f"--runs_dir: no run in {runs_dir}: `python -m tfvae.train` makes one.")
    return runs[-1].parent.name


def resume(settings, folder):
    """Returns the settings of the run to continue, those that `folder` has recorded.

    Raises:
        config.UserError: If there is no such run, or a setting was given that contradicts the recorded one.
    """
    recorded = commandline.read_flagfile(type(settings), folder / "flags.cfg")
    for field in dataclasses.fields(settings):
        given, kept = getattr(settings, field.name), getattr(recorded, field.name)
        # A default counts as not given. Folders may have moved, and a name may be that of the data.
        if field.metadata["recorded"] and given not in (kept, field.default) and field.name not in ("runs_dir", "name"):
            raise config.UserError(f"--{field.name}: {folder} was started with {kept}, got {given}; leave it out.")
    if (folder / "test.json").exists():
        raise config.UserError(
            f"{folder} is finished; `python -m tfvae.export --name={settings.run_name}` exports it again."
        )
    changed = [f"--{f.name}={getattr(recorded, f.name)}" for f in dataclasses.fields(recorded)
               if f.metadata["recorded"] and getattr(recorded, f.name) != f.default]  # fmt: skip
    print(
        f"{folder}: going on with the settings it was started with: {' '.join(changed) or 'the defaults'}", flush=True
    )
    return dataclasses.replace(recorded, runs_dir=settings.runs_dir, name=settings.run_name, resume=True)


# What tells in `data.json` whether the images are still those that the run was started with.
_IDENTITY = ("training", "validation", "test", "names", "pixels")


def keep_data(folder, images):
    """Writes what the run was started with: `data.json` says which images, and what was found in them;
    `test_images.npy` holds a few of them, `training_digests.npy` a number for each training image.

    Args:
        folder: The run folder.
        images: A `data.Data`.

    Raises:
        config.UserError: If the run was started with other images.
    """
    pixels = hashlib.sha256(b"".join(images.digests(split).tobytes() for split in ("train", "validation", "test")))
    found = {
        "training": images.num_training,
        "validation": images.num_validation,
        "test": images.num_test,
        "names": hashlib.sha256(json.dumps(images.names, sort_keys=True).encode()).hexdigest(),
        "pixels": pixels.hexdigest(),
        "deep_values": images.spec.deep_values,
        "report": images.report.as_dict(),
    }
    kept = folder / "data.json"
    if kept.exists():
        began = _read_data(kept)
        # An earlier version of this package has written less.
        if any(key in began and began[key] != found[key] for key in _IDENTITY):
            raise config.UserError(
                f"--data: {folder} was started with other images ({began['training']} for training, now "
                f"{images.num_training}): put them back, or train again under another --name."
            )
    found_images = _read_test_images(folder)
    if not kept.exists() or found_images is None or found_images.shape[1:] != images.image_shape:
        test_images = images.images("test", images.spread("test", TEST_IMAGES))
        files.write(folder / "test_images.npy", lambda file: np.save(file, test_images))
        files.write(folder / "training_digests.npy", lambda file: np.save(file, images.digests("train")))
        files.write(kept, json.dumps(found, indent=2) + "\n")  # The last: where it is, the others are whole.


def _read_data(path):
    """Returns what is in `data.json`."""
    try:
        found = json.loads(path.read_bytes())
        found["training"]
        return found
    except (ValueError, KeyError, TypeError):
        raise config.UserError(
            f"{path} is damaged: it should say which images the run was started with. Where these are as they were, "
            "delete it and go on."
        ) from None


def prepared_with(folder):
    """Returns (deep_values of the `preprocessing.ImageSpec`, digests of the training images [n] uint64) of a run.

    Each is None where the run has not recorded it.
    """
    digests = None
    with contextlib.suppress(OSError, ValueError, EOFError):
        digests = np.load(folder / "training_digests.npy", allow_pickle=False)
    values = _read_data(folder / "data.json").get("deep_values") if (folder / "data.json").exists() else None
    return values and value_range.ValueRange(*values), digests


def _read_test_images(folder):
    """Returns the test images kept with a run, uint8 [n, H, W, C]; None where they are damaged or not there."""
    try:
        with open(folder / "test_images.npy", "rb") as file:
            found, more = np.load(file, allow_pickle=False), file.read(1)
    except IsADirectoryError:
        raise
    except Exception:  # A damaged file can raise nearly anything in there.
        return None
    return found if found.dtype == np.uint8 and found.ndim == 4 and len(found) and not more else None


def test_images(folder, make_again):
    """Returns the test images kept with a run, uint8 [n, H, W, C].

    Args:
        folder: The run folder.
        make_again: Called without arguments where the file is damaged: to call `keep_data`.

    Raises:
        config.UserError: If the run never began.
    """
    if not (folder / "test_images.npy").is_file():
        raise config.UserError(f"{folder} has no checkpoint yet.")
    found = _read_test_images(folder)
    if found is None:
        print(f"{folder / 'test_images.npy'} is damaged: it is made again.", file=sys.stderr)
        make_again()
        found = _read_test_images(folder)
    return found
