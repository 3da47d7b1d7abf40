"""Decodes each image once and keeps it as uint8: in memory, on disk, or nowhere.

Kept after the resize, for that is the smallest; before the shuffle, for a shuffle below would repeat one order; and
before float32, which takes four times as much. NumPy and Pillow alone: nothing here imports TensorFlow.
"""

import json
import math
import os
import pathlib
import shutil
import threading
import weakref
from typing import NamedTuple

import numpy as np

from tfvae import config, files, locks
from tfvae.data import decode, decode_all, preprocessing, value_range
from tfvae.data import source as sources

_MEMORY_LIMIT = 2 * 1024**3
_RANGES = ("values", "deep_values")  # Of the spec, which are known once values were looked at.
_VERSION = 2  # Of what is kept on disk: another number wherever the same data would be kept otherwise.


class Cache(NamedTuple):
    """The images that could be decoded."""

    read: object  # rows of the source [B] -> uint8 [B, H, W, C]
    array: np.ndarray | None  # All of them in memory, by their index in the source.
    spec: preprocessing.ImageSpec  # With the value range that was found.
    facts: decode_all.Facts


class _Rows:
    """The rows of an array file, read and written one by one.

    Not mapped: the pages that are touched would count as this process's memory, all of them after an epoch.
    """

    def __init__(self, path, mode="rb"):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self._start, self._shape = mapped.offset, mapped.shape[1:]
        self._path, self._file, self._lock = path, open(path, mode, buffering=0), threading.Lock()
        weakref.finalize(self, self._file.close)

    def _seek(self, row):
        self._file.seek(self._start + int(row) * math.prod(self._shape))

    def read(self, rows):
        batch = np.empty([len(rows), *self._shape], np.uint8)
        with self._lock:
            for row, image in zip(rows, batch, strict=True):
                self._seek(row)
                if self._file.readinto(memoryview(image).cast("B")) != image.nbytes:
                    raise OSError(f"{self._path} is shorter than it was")
        return batch

    def write(self, row, image):
        self._seek(row)
        if self._file.write(image.tobytes()) != image.nbytes:
            raise OSError(f"{self._path} has not taken all of an image")

    def close(self):
        os.fsync(self._file.fileno())
        self._file.close()


def _in_memory(source, spec, settings):
    array = np.empty([source.count, *spec.shape], np.uint8)
    facts, spec = decode_all.decode_all(source, spec, settings, array.__setitem__)
    return Cache(array.__getitem__, array, spec, facts)


def _nowhere(source, spec, settings):
    if source.fetch is None:
        raise config.UserError(
            f"--cache=none needs a folder or a file of images, got --data={settings.data}; use --cache=disk."
        )
    facts, spec = decode_all.decode_all(source, spec, settings, lambda index, pixels: None)

    def read(rows):
        images = []
        with decode.limits(settings.max_pixels):
            for row in rows:
                image = source.fetch(int(row))
                answer = decode_all.prepared(int(row), image, spec, settings, False, own=True)
                if answer.problem:
                    raise OSError(f"{image if isinstance(image, str) else f'image {row}'}: {answer.problem}")
                images.append(answer.pixels)
        return np.stack(images) if images else np.empty([0, *spec.shape], np.uint8)

    return Cache(read, None, spec, facts)


def _save_facts(folder, facts, spec):
    arrays = {name: getattr(facts, name) for name in ("rows", "sizes", "digests", "blank")}
    words = {"formats": facts.formats, "problems": facts.problems, "values": facts.values}
    words["levels"] = facts.levels
    words["ranges"] = {name: getattr(spec, name) for name in _RANGES if getattr(spec, name)}
    files.write_arrays(os.path.join(folder, "facts.npz"), arrays | {"words": json.dumps(words)})


def _write_to_disk(source, spec, settings, folder):
    path = os.path.join(folder, "images.npy")
    # An array of no rows has no file to map.
    np.lib.format.open_memmap(path, "w+", np.uint8, (max(1, source.count), *spec.shape))
    rows = _Rows(path, "r+b")
    facts, spec = decode_all.decode_all(source, spec, settings, rows.write)
    rows.close()
    _save_facts(folder, facts, spec)


def _open_from_disk(folder, source, spec):
    """Returns the `Cache` that an earlier run has left in `folder`; None where it has not, or it is damaged."""
    if not os.path.isdir(folder):
        return None
    try:
        path = os.path.join(folder, "images.npy")
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
        arrays = files.read_arrays(os.path.join(folder, "facts.npz"))
        words = json.loads(str(arrays.pop("words")))
        if kept.shape != (max(1, source.count), *spec.shape):
            raise ValueError("another shape")
        ranges = {name: value_range.ValueRange(*words["ranges"][name]) for name in words["ranges"] if name in _RANGES}
        problems = {int(index): problem for index, problem in words["problems"].items()}
        values = tuple(words["values"]) if words["values"] else None
    except Exception as error:  # A damaged file can raise nearly anything in there.
        print(f"{folder} is damaged ({type(error).__name__}): the images are read again.", flush=True)
        return None
    facts = decode_all.Facts(
        **arrays, formats=words["formats"], problems=problems, levels=tuple(words["levels"]), values=values
    )
    return Cache(_Rows(path).read, None, spec._replace(**ranges), facts)


def _on_disk(source, spec, settings):
    base = os.path.join(sources.data_dir(settings), "tfvae_cache")
    key = [_VERSION, source.identity, *spec, settings.max_pixels, settings.black, settings.white]
    final = os.path.join(base, sources.digest(key))
    locks.remove_leftovers(pathlib.Path(base), r".*\.incomplete-(?P<process>\d+)")
    found = _open_from_disk(final, source, spec)
    if found is not None:
        return found
    # Under a temporary name until complete, for another process may look for it, and this one may be stopped.
    temporary = f"{final}.incomplete-{os.getpid()}"
    try:
        shutil.rmtree(final, ignore_errors=True)
        os.makedirs(temporary, exist_ok=True)
        with locks.folder_held(temporary):
            _write_to_disk(source, spec, settings, temporary)
            os.rename(temporary, final)
    except OSError as error:
        if not os.path.isdir(final):  # Otherwise another process was first.
            raise config.UserError(
                f"--data_dir: cannot write {os.path.dirname(final)}: {error.strerror or error}."
            ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    found = _open_from_disk(final, source, spec)
    if found is None:
        raise config.UserError(f"--data_dir: {final} cannot be read back.")
    return found


def fill(source, spec, settings):
    """Decodes the images of a `source.Source`, keeps them as --cache says, and returns the `Cache`.

    Args:
        source: A `source.Source`.
        spec: A `preprocessing.ImageSpec`.
        settings: A `config.DataConfig`.

    Raises:
        UserError: If --cache=none does not suit the data, or the disk cannot be written.
    """
    kind = settings.cache
    if kind == "auto":
        kind = "memory" if source.count * math.prod(spec.shape) <= _MEMORY_LIMIT else "disk"
    return {"memory": _in_memory, "disk": _on_disk, "none": _nowhere}[kind](source, spec, settings)
