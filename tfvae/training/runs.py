"""The run folder, `runs/NAME/`: its settings and its data, and that nothing in it is overwritten by another run."""

import dataclasses
import hashlib
import json
import os
import pathlib

import numpy as np

from tfvae import commandline, config

TEST_IMAGES = 16  # Kept with a run, and with its exports, as examples.


def check_new(settings):
    """Returns the folder of a new run; UserError where it holds something already."""
    folder = config.folder(settings.runs_dir, "--runs_dir") / settings.run_name
    if (folder / "flags.cfg").exists():
        raise config.UserError(f"{folder} exists: --resume continues this run, --name=OTHER starts another.")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise config.UserError(f"{folder} is no run folder, and not empty: choose another --name.")
    return folder


def start(settings):
    """Makes the folder of a new run and writes its `flags.cfg`.

    Returns:
        The folder, a `pathlib.Path`.

    Raises:
        config.UserError: If the folder holds a run already, or cannot be written.
    """
    folder = check_new(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "flags.cfg").write_text(commandline.flagfile(settings), encoding="utf-8")
    except OSError as error:
        raise config.UserError(f"--runs_dir: cannot write {folder}: {error.strerror}.") from None
    return folder


def read(settings_class, runs_dir, name):
    """Returns (folder, settings) of the run `name`; UserError where there is no such run."""
    runs_dir = pathlib.Path(runs_dir).expanduser()
    folder = runs_dir / name
    if not (folder / "flags.cfg").is_file():
        found = sorted(path.parent.name for path in runs_dir.glob("*/flags.cfg"))
        raise config.UserError(f"--name: no run {name!r} in {runs_dir} (there are: {', '.join(found) or 'none'}).")
    return folder, commandline.read_flagfile(settings_class, folder / "flags.cfg")


def newest(runs_dir):
    """Returns the name of the run that was last written to; UserError where there is none."""
    runs = sorted(pathlib.Path(runs_dir).expanduser().glob("*/flags.cfg"), key=lambda path: path.parent.stat().st_mtime)
    if not runs:
        raise config.UserError(f"--runs_dir: no run in {runs_dir}: `python -m tfvae.train` makes one.")
    return runs[-1].parent.name


def resume(settings):
    """Returns (folder, settings) of the run to continue: the recorded settings.

    Raises:
        config.UserError: If there is no such run, or a setting was given that contradicts the recorded one.
    """
    folder, recorded = read(type(settings), settings.runs_dir, settings.run_name)
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
    return folder, dataclasses.replace(recorded, runs_dir=settings.runs_dir, name=settings.run_name, resume=True)


def keep_data(folder, images):
    """Writes what the run was started with: `data.json` says which images, `test_images.npy` holds a few of them.

    Args:
        folder: The run folder.
        images: A `data.Data`.

    Raises:
        config.UserError: If the run was started with other images.
    """
    names = hashlib.sha256(json.dumps(images.names, sort_keys=True).encode()).hexdigest()
    counts = {"training": images.num_training, "validation": images.num_validation, "test": images.num_test}
    found = json.dumps({**counts, "names": names}, indent=2) + "\n"
    kept = folder / "data.json"
    if kept.exists() and kept.read_text(encoding="utf-8") != found:
        began = json.loads(kept.read_text(encoding="utf-8"))
        raise config.UserError(
            f"--data: {folder} was started with other images ({began['training']} for training, now "
            f"{images.num_training}): put them back, or train again under another --name."
        )
    if not kept.exists():
        test_images = images.images("test", range(min(TEST_IMAGES, images.num_test)))
        with open(folder / "writing", "wb") as file:
            np.save(file, test_images)
        os.replace(folder / "writing", folder / "test_images.npy")
        (folder / "writing").write_text(found, encoding="utf-8")
        os.replace(folder / "writing", kept)  # The last: where it is, the test images are whole.


def test_images(folder):
    """Returns the test images kept with a run, uint8 [n, H, W, C]; UserError where it never began."""
    if not (folder / "test_images.npy").is_file():
        raise config.UserError(f"{folder} has no checkpoint yet.")
    return np.load(folder / "test_images.npy", allow_pickle=False)
