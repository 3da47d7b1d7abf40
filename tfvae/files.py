"""Files that are there whole or not at all, also after a crash or a loss of power; and arrays with a checksum."""

import errno
import hashlib
import os
import pathlib

import numpy as np

from tfvae import locks

# The name of what is half written, as `locks.remove_leftovers` takes it.
TEMPORARY = r"\.tfvae-writing-(?P<process>\d+)"


# What a folder answers where the system flushes files alone, as Windows does.
_NOT_OF_FOLDERS = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP}


def flush(path):
    """Waits until a file, or the names in a folder where the system can do that, are on the disk."""
    folder = os.path.isdir(path)
    try:
        # Windows flushes only what may be written.
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not folder or error.errno not in _NOT_OF_FOLDERS:
            raise


def write(path, fill):
    """Writes a file under a temporary name, flushes and renames it.

    Args:
        path: A `pathlib.Path`; what is there is replaced.
        fill: Its text, its bytes, or a function that writes it to an open binary file.

    Raises:
        OSError: If it cannot be written; what was there before stays, and nothing else.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".tfvae-writing-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            if callable(fill):
                fill(file)
            else:
                file.write(fill.encode("utf-8") if isinstance(fill, str) else fill)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush(path.parent)
    except BaseException:
        locks.delete(temporary)
        raise


def append(path, text):
    """Writes `text` behind what is in the file `path`, and flushes it."""
    with open(path, "a", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _checksum(arrays):
    """Returns the SHA-256 of {name: array}, uint8 [32]: of names, types, shapes and contents."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return np.frombuffer(found.digest(), np.uint8)


def write_arrays(path, arrays):
    """Writes {name: array} with a checksum as `.npz`; raises as `write`."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    write(path, lambda file: np.savez(file, checksum=_checksum(arrays), **arrays))


def read_arrays(path):
    """Returns the {name: array} that `write_arrays` wrote; raises an error of any kind where the file is damaged."""
    # Opened here: of a damaged archive, NumPy would leave the file open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    # Each member has a checksum of its own in the archive; the one of all tells of members that are missing. A
    # file of an earlier version of this package has none.
    checksum = arrays.pop("checksum", None)
    if checksum is not None and not np.array_equal(checksum, _checksum(arrays)):
        raise ValueError("wrong checksum")
    return arrays
