"""Locks that end with their process, and the removal of what dead processes have left half written."""

import contextlib
import errno
import os
import pathlib
import platform
import re
import shutil

import filelock
import psutil

# What locking fails with on a file system that has no locks, as some network ones.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class Held(Exception):
    """Another process holds the lock; the text says which."""


@contextlib.contextmanager
def _locked(path, timeout=0):
    """Holds the lock file `path`, or nothing where the file system has no locks; raises `filelock.Timeout`."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(filelock.FileLock(path, fallback_to_soft=False).acquire(timeout))
        except OSError as error:  # A Timeout, too, which has no number.
            if error.errno not in _NO_LOCKS:
                raise
        yield


@contextlib.contextmanager
def held(path, wait=None):
    """Holds the lock `path`, which the system ends with the process.

    PATH.holder names this process meanwhile: Windows lets nobody read a locked file. Where the file system has no locks
    (some network ones), nothing is held.

    Args:
        path: A `pathlib.Path`, made where it is missing; the file may stay.
        wait: None: not at all; else called with what names the holder before the other process is waited for.

    Raises:
        Held: If another process holds it.
        OSError: If the file cannot be made.
    """
    holder = path.with_name(f"{path.name}.holder")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(path))
        except filelock.Timeout:
            text = "another process"
            with contextlib.suppress(OSError):
                text = holder.read_text(encoding="utf-8", errors="replace").strip() or text
            if wait is None:
                raise Held(text) from None
            wait(text)
            stack.enter_context(_locked(path, timeout=-1))
        stack.callback(delete, holder)
        holder.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield


@contextlib.contextmanager
def folder_held(folder):
    """Marks `folder` as being written by this process, for `remove_leftovers` of others, by FOLDER.lock beside it."""
    lock = pathlib.Path(f"{folder}.lock")
    try:
        with _locked(lock, timeout=-1):
            yield
    finally:
        delete(lock)


def _is_running(process):
    try:
        return psutil.pid_exists(process)
    except OverflowError:
        return False


def remove_leftovers(folder, pattern):
    """Deletes what a process that is gone has left in `folder` under a temporary name.

    Gone is one whose number no process of this machine has, and whose `folder_held` nobody holds: another machine, or
    another container, may write into the same folder.

    Args:
        folder: A `pathlib.Path`; it need not exist.
        pattern: Regular expression of the whole name, whose group "process" is the number of the process.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            path = path.with_name(path.name.removesuffix(".lock"))
            match = re.fullmatch(pattern, path.name)
            if match and not path.is_symlink() and not _is_running(int(match["process"])):
                lock = path.with_name(f"{path.name}.lock")
                with contextlib.suppress(filelock.Timeout), _locked(lock):
                    delete(path)
                    delete(lock)


def delete(path):
    """Deletes a file or a folder with all in it, as far as it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
