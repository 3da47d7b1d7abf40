"""The run folder, `runs/NAME/`: its settings, and that nothing in it is ever overwritten by another run."""

import dataclasses
import pathlib

from tfvae import commandline, config


def check_new(settings):
    """Returns the folder of a new run; UserError where it holds something already."""
    folder = pathlib.Path(settings.runs_dir) / settings.run_name
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
    folder = pathlib.Path(runs_dir) / name
    if not (folder / "flags.cfg").is_file():
        found = sorted(path.parent.name for path in pathlib.Path(runs_dir).glob("*/flags.cfg"))
        raise config.UserError(f"--name: no run {name!r} in {runs_dir} (there are: {', '.join(found) or 'none'}).")
    return folder, commandline.read_flagfile(settings_class, folder / "flags.cfg")


def newest(runs_dir):
    """Returns the name of the run that was last written to; UserError where there is none."""
    runs = sorted(pathlib.Path(runs_dir).glob("*/flags.cfg"), key=lambda path: path.parent.stat().st_mtime)
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
    return folder, dataclasses.replace(recorded, runs_dir=settings.runs_dir, name=settings.run_name, resume=True)
