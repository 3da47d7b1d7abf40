"""Files that are there whole or not at all, also after a crash or a loss of power."""

import os

from tfvae import locks


def flush(path):
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path, fill):
    """Writes a file under a temporary name, flushes and renames it.

    Args:
        path: A `pathlib.Path`; what is there is replaced.
        fill: Its text, or a function that writes it to an open binary file.

    Raises:
        OSError: If it cannot be written; what was there before stays, and nothing else.
    """
    temporary = path.with_name(f"writing-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            if isinstance(fill, str):
                file.write(fill.encode("utf-8"))
            else:
                fill(file)
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
