"""The folders and names that settings speak of."""

import os
import pathlib
import re
import tempfile

from tfvae.settings import UserError

PROGRAM = "tfvae"  # The name that every picture carries in its file.


def path_of(text):
    """Returns `text` as a `pathlib.Path`, ~ expanded; ~NAME stays as it is where there is no such user."""
    return pathlib.Path(os.path.expanduser(text))


def folder(path, flag, writable=True):
    """Returns the folder `path`, ~ expanded, which may not exist yet.

    Raises:
        UserError: If it could not be made or, where it is to be `writable`, written; the message names `flag`.
    """
    path = path_of(path)
    try:
        there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    except OSError as error:  # A name that is too long, say, or a folder above it that may not be looked into.
        raise UserError(f"{flag}: {error.strerror}: {path}.") from None
    if not there.is_dir():
        raise UserError(f"{flag} must be a folder, but {there} is a file.")
    if writable:
        check_writable(there, flag)
    return path


def check_writable(folder, flag):
    """Raises UserError, which names `flag`, where no file can be made in `folder`."""
    try:
        with tempfile.TemporaryFile(dir=folder):  # Permissions alone would not tell of file systems that hold no files.
            pass
    except OSError as error:
        raise UserError(f"{flag}: cannot write into {folder}: {error.strerror}.") from None


def check_name(name):
    """Raises UserError where `name` could not be one folder's name; an empty one stands for the default."""
    if name and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}", name):
        raise UserError(f"--name must be letters, digits, '_', '-' and '.', at most 200, got {name!r}.")
