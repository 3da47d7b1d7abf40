"""Small disks, other users: what a test of faults stands on; skips where the machine does not allow it."""

import contextlib
import os
import subprocess

import pytest

NOBODY = 65534


@contextlib.contextmanager
def disk(folder, size):
    """Mounts a file system of `size` on `folder`, made where it is missing, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder])
    except OSError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def read_only(folder):
    """Makes a disk read-only until the block ends."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)


def fill(folder):
    """Writes into `folder` until its disk is full; returns the file to delete."""
    path = folder / "ballast"
    with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
        while True:
            file.write(b"\0")
    return path


@contextlib.contextmanager
def another_user():
    """Makes this process one of a user without rights until the block ends, for root may do everything."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
