"""Where a command writes: checked before any work is done, so that a long one does not end in a mistake.

An output is either one picture, `NAME.png`, or a folder of single files. Nothing is overwritten unasked.
"""

import contextlib
import pathlib

from tfvae.config import UserError, check_writable, path_of

_OTHER_PICTURES = (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_MOST_PIXELS = 100_000_000  # Of one picture: beyond that few programs open it.


def is_picture(path):
    """Returns whether `path` is one picture; else it is a folder of single files."""
    return path.suffix.lower() == ".png" and not path.is_dir()


def check(output, overwrite=False):
    """Returns the path that `output` names, a folder being made where it is missing.

    Args:
        output: `--output`, or its default: a `.png` file or a folder.
        overwrite: `--overwrite`: whether what is there may be replaced.

    Raises:
        UserError: If it exists and `overwrite` is False (an empty folder is fine), or it cannot be written.
    """
    path = path_of(output)
    if path.suffix.lower() in _OTHER_PICTURES and not path.is_dir():
        raise UserError(f"--output must end in .png, or be a folder for single files, got {output}.")
    if not path.parent.is_dir():
        raise UserError(f"--output: no such folder: {path.parent}.")
    if is_picture(path):
        refuse_existing(path, overwrite)
        folder = path.parent
    else:
        if path.exists() and not path.is_dir():
            raise UserError(f"--output must end in .png, or be a folder for single files, got the file {output}.")
        with reporting(path):
            path.mkdir(exist_ok=True)
            if not overwrite and any(path.iterdir()):
                raise UserError(f"--output: the folder {path} is not empty; name another one or add --overwrite.")
        folder = path
    check_writable(folder, "--output")
    return path


def check_folder(output, overwrite=False):
    """As `check`, for a command whose output is always a folder."""
    path = pathlib.Path(output).expanduser()
    if is_picture(path) or path.is_file():
        raise UserError(f"--output must be a folder, got {output}.")
    return check(output, overwrite)


def tell_older(output, written):
    """Says how many files a folder still holds beside those just `written`, which --overwrite has left alone."""
    if output.is_dir():
        older = len({path.name for path in output.iterdir()} - set(written))
        if older:
            print(f"{output} also holds {older} older file{'s' * (older != 1)}.")


def refuse_existing(path, overwrite):
    """Raises UserError where `path` exists and may not be replaced."""
    if path.exists() and not overwrite:
        raise UserError(f"--output: {path} exists; name another one or add --overwrite.")


def check_size(number, image_shape):
    """Raises UserError where `number` images of `image_shape` (H, W, C) are too many for one picture."""
    most = max(1, _MOST_PIXELS // (image_shape[0] * image_shape[1]))
    if number > most:
        raise UserError(f"--output must be a folder for more than {most:,} images, got one picture for {number:,}.")


def check_inputs(files, folders=False):
    """Raises UserError, with its name, for the first of `files` that is not there or no file.

    Args:
        files: Names of files.
        folders: Whether a folder will do.
    """
    for file in files:
        path = pathlib.Path(file)
        if not file:
            raise UserError("Expected the name of an image, got ''.")
        if not path.is_file() and not (folders and path.is_dir()):
            there = "is a folder, not an image" if path.is_dir() else "is no ordinary file"
            raise UserError(f"{file}: {there if path.exists() else 'no such file'}.")


@contextlib.contextmanager
def reporting(path):
    """Makes a failure to write within the block, such as a full disk, a UserError that names `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"--output: cannot write {path}: {error.strerror or error}.") from None
