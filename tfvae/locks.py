"""Who may write where: locks that no crash leaves behind, and what processes that are gone have left half written."""

import contextlib
import os
import platform
import re
import shutil

try:
    import fcntl
except ImportError:  # Windows: there, nothing is locked.
    fcntl = None


class Held(Exception):
    """Another process holds the lock; the text is what that process wrote into it."""


def _lock(descriptor, wait=False):
    """Locks an open file; returns False where another process holds it, None where the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def _is_still(descriptor, path):
    """Returns whether `path` is the open file, which somebody may have deleted or replaced meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def held(path, wait=None):
    """Holds the lock `path`, a file with this process's number; the kernel ends the lock with the process.

    The file itself stays. Where the file system has no locks (some network ones, Windows), nothing is held.

    Args:
        path: The file, made where it is missing.
        wait: None: not at all; else called with the text of the lock before the other process is waited for.

    Raises:
        Held: If another process holds it.
        OSError: If the file cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(descriptor)
            if locked is False:
                text = os.pread(descriptor, 100, 0).decode("utf-8", "replace").strip()
                if wait is None:
                    raise Held(text or "another process")
                wait(text or "another process")
                locked = _lock(descriptor, wait=True)
            if not _is_still(descriptor, path):
                continue
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
            yield
            return
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def folder_held(folder):
    """Marks `folder` as being written by this process, for `remove_leftovers` of others; needs no file in it."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _is_running(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _is_abandoned(path, process):
    """Returns whether `path` was written by a process that is gone: by its number, and by the lock that it held."""
    if fcntl is None or process == os.getpid() or _is_running(process):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # A pipe of that name would keep it waiting.
    except OSError:
        return False
    try:
        return _lock(descriptor) is True
    finally:
        os.close(descriptor)


def remove_leftovers(folder, pattern):
    """Deletes what a process that is gone has left in `folder` under a temporary name.

    Args:
        folder: A `pathlib.Path`; it need not exist.
        pattern: Regular expression of the whole name, whose group "process" is the number of the process.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            match = re.fullmatch(pattern, path.name)
            if match and not path.is_symlink() and _is_abandoned(path, int(match["process"])):
                delete(path)


def delete(path):
    """Deletes a file or a folder with all in it, as far as it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
