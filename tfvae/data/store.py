"""Decodes each image once and keeps it as uint8, in memory or on disk.

Kept after the resize, for that is the smallest; before the shuffle, for a shuffle below would repeat one order; and
before float32, which takes four times as much.
"""

import functools
import math
import os
import pathlib
import shutil
import warnings
import weakref
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvae import config, locks
from tfvae.data import fitting, images, source

_MEMORY_LIMIT = 2 * 1024**3


class Shape(NamedTuple):
    """What all images are brought to, and how."""

    height: int
    width: int
    channels: int
    fit: str
    background_rgb: tuple
    max_pixels: int


class Store(NamedTuple):
    """The decodable images of one split."""

    count: int
    rows: np.ndarray  # [count] int64: their indices in the source.
    gather: object  # [B] int64 numbers below count -> [B, H, W, C] uint8, in the graph.


def _coloured(image, shape):
    """Returns the content of a file, or uint8 [..., h, w, 1, 3 or 4], as uint8 [..., h, w, 3 or 4]."""
    if image.dtype == tf.string:
        return images.decode(image, shape.max_pixels, wanted=(shape.height, shape.width))
    return tf.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


@functools.lru_cache(maxsize=8)
def preparer(shape):
    """Returns image -> [H, W, C] uint8 as one graph for all splits, for to trace it takes a second."""
    return tf.function(lambda image: fitting.prepare(_coloured(image, shape), *shape[:5]), autograph=False)


def decoded(origins, shape):
    """Yields (split [n] bytes, indices [n], images [n, H, W, C]) of all images that can be decoded."""
    prepare = preparer(shape)
    streams = [
        origin.stream().map(lambda index, image, split=split: (split, index, image))
        for split, origin in origins.items()
    ]
    if streams[0].element_spec[2].dtype != tf.string:  # Pixels already, of one size in each split: many at once.
        sizes = [math.prod(stream.element_spec[2].shape) for stream in streams]
        # At most 256, for tf.data sets up as many transfers as a batch could hold, whatever comes.
        streams = [stream.batch(max(1, min(256, 2**22 // size))) for stream, size in zip(streams, sizes, strict=True)]
    # One pipeline for all splits, for TensorFlow takes a second to set up the decoders in each.
    each = functools.reduce(lambda one, other: one.concatenate(other), streams).map(
        lambda split, index, image: (split, index, prepare(image)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    if streams[0].element_spec[2].dtype == tf.string:
        # What cannot be decoded is dropped here, and named afterwards as what did not arrive.
        each = each.ignore_errors(log_warning=False).batch(64)
    return each.prefetch(2).as_numpy_iterator()


def _fill(origins, shape, write=lambda split, indices, decoded: None):
    """Decodes all images, gives them to `write`, and returns {split: [n] indices that arrived, sorted}."""
    arrived = {split: np.zeros(origin.count, bool) for split, origin in origins.items()}
    total = sum(origin.count for origin in origins.values())
    # Shown only where it takes long.
    with tqdm(
        total=total, desc="Reading images", unit="", delay=2.0, mininterval=0.5, leave=False, disable=None
    ) as bar:
        for splits, indices, pixels in decoded(origins, shape):
            for split in origins:
                mine = splits == split.encode()
                if mine.any():
                    write(split, indices[mine], pixels[mine])
                    arrived[split][indices[mine]] = True
            bar.update(len(indices))
    return {split: np.flatnonzero(there) for split, there in arrived.items()}


def report_missing(origins, kept, settings):
    """Names the images that could not be decoded, in one warning, or one error with --strict.

    Args:
        origins: {split: `source.Source`}.
        kept: {split: `Store`}.
        settings: A `config.DataConfig`.
    """
    names, total = [], 0
    for split, origin in origins.items():
        total += origin.count
        missing = np.setdiff1d(np.arange(origin.count), kept[split].rows)
        names += [origin.names[index] if origin.names else f"{split} image {index}" for index in missing]
    if not names:
        return
    message = f"{len(names)} of {total} images cannot be decoded (or exceed --max_pixels): {source.named(names)}"
    if settings.strict:
        raise config.UserError(f"--data={settings.data}: {message}.")
    warnings.warn(f"{message}; they are left out.", stacklevel=2)


def _from_memory(kept):
    with tf.device("CPU"):  # Never on an accelerator: batches are gathered by tf.data.
        held = tf.constant(kept)
    return lambda numbers: tf.gather(held, numbers)


class _Rows:
    """The rows of an array file, read and written one by one.

    Not mapped: the pages that are touched would count as this process's memory, all of them after an epoch.
    """

    def __init__(self, path, flags=os.O_RDONLY):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self._start, self._shape = mapped.offset, mapped.shape[1:]
        self._path, self._file = path, os.open(path, flags)
        weakref.finalize(self, os.close, self._file)

    def _at(self, row):
        return self._start + int(row) * math.prod(self._shape)

    def read(self, rows):
        batch = np.empty([len(rows), *self._shape], np.uint8)
        for row, image in zip(rows, batch, strict=True):
            if os.preadv(self._file, [image], self._at(row)) != image.nbytes:
                raise OSError(f"{self._path} is shorter than it was")
        return batch

    def write(self, rows, batch):
        for row, image in zip(rows, batch, strict=True):
            if os.pwritev(self._file, [np.ascontiguousarray(image)], self._at(row)) != image.nbytes:
                raise OSError(f"{self._path} has not taken all of an image")

    def flush(self):
        os.fsync(self._file)


def _from_disk(path, rows, shape):
    kept = _Rows(path)

    def gather(numbers):
        batch = tf.numpy_function(lambda some: kept.read(rows[some]), [numbers], tf.uint8, stateful=False)
        return tf.ensure_shape(batch, [*numbers.shape, *shape[:3]])

    return gather


def in_memory(origins, shape):
    """Returns {split: `Store`} of arrays in memory."""
    kept = {split: np.empty([origin.count, *shape[:3]], np.uint8) for split, origin in origins.items()}

    def write(split, indices, decoded):
        kept[split][indices] = decoded

    stores = {}
    for split, rows in _fill(origins, shape, write).items():
        images_of_split = kept.pop(split)
        complete = len(rows) == len(images_of_split)
        stores[split] = Store(len(rows), rows, _from_memory(images_of_split if complete else images_of_split[rows]))
    return stores


def _write_to_disk(origins, shape, folder):
    def create(split, count):
        path = os.path.join(folder, f"{split}.npy")
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, *shape[:3]))
        return _Rows(path, os.O_RDWR)

    kept = {split: create(split, origin.count) for split, origin in origins.items()}

    def write(split, indices, decoded):
        kept[split].write(indices, decoded)

    for split, rows in _fill(origins, shape, write).items():
        kept[split].flush()
        with open(os.path.join(folder, f"{split}-rows.npy"), "wb") as file:
            np.save(file, rows)
            file.flush()
            os.fsync(file.fileno())


def _is_whole(folder, origins, shape):
    """Returns whether an earlier run has left all files of a store; says so where it has left only parts of them."""
    if not os.path.isdir(folder):
        return False
    try:
        for split, origin in origins.items():
            kept = np.load(os.path.join(folder, f"{split}.npy"), mmap_mode="r", allow_pickle=False)
            rows = np.load(os.path.join(folder, f"{split}-rows.npy"), allow_pickle=False)
            if kept.shape != (origin.count, *shape[:3]) or (
                len(rows) and not 0 <= rows.min() <= rows.max() < len(kept)
            ):
                raise ValueError("another shape")
    except (OSError, ValueError, EOFError) as error:
        print(f"{folder} is damaged ({type(error).__name__}): the images are read again.", flush=True)
        return False
    return True


def on_disk(origins, shape, folder):
    """Returns {split: `Store`} of files below `folder`, which are written where no earlier run has left them."""
    identities = [origin.identity for origin in origins.values()]
    base = os.path.join(folder, "tfvae_store")
    final = os.path.join(base, source.digest([*identities, *shape]))
    locks.remove_leftovers(pathlib.Path(base), r".*\.incomplete-(?P<process>\d+)")
    if not _is_whole(final, origins, shape):
        # Under a temporary name until complete, for another process may look for it, and this one may be stopped.
        temporary = f"{final}.incomplete-{os.getpid()}"
        try:
            shutil.rmtree(final, ignore_errors=True)
            os.makedirs(temporary, exist_ok=True)
            with locks.folder_held(temporary):
                _write_to_disk(origins, shape, temporary)
                os.rename(temporary, final)
        except OSError as error:
            if not os.path.isdir(final):  # Otherwise another process was first.
                raise config.UserError(
                    f"--data_dir: cannot write {os.path.dirname(final)}: {error.strerror or error}."
                ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    stores = {}
    for split in origins:
        rows = np.load(os.path.join(final, f"{split}-rows.npy"), allow_pickle=False)
        stores[split] = Store(len(rows), rows, _from_disk(os.path.join(final, f"{split}.npy"), rows, shape))
    return stores


def nowhere(origins, shape, settings):
    """Returns {split: `Store`} that decode each image anew, each time."""
    if any(origin.fetch is None for origin in origins.values()):
        raise config.UserError(
            f"--cache=none needs a folder or a file of images, got --data={settings.data}; use --cache=disk."
        )
    prepare = preparer(shape)

    def gather_from(origin, rows):
        held = tf.constant(rows)
        return lambda numbers: tf.map_fn(
            lambda number: prepare(origin.fetch(tf.gather(held, number))),
            numbers,
            fn_output_signature=tf.TensorSpec(shape[:3], tf.uint8),
        )

    found = _fill(origins, shape)
    return {split: Store(len(rows), rows, gather_from(origins[split], rows)) for split, rows in found.items()}


def keep(origins, shape, settings):
    """Returns {split: `Store`} as --cache says.

    Args:
        origins: {split: `source.Source`}.
        shape: A `Shape`.
        settings: A `config.DataConfig`.

    Raises:
        UserError: If --cache=none does not suit the data.
    """
    kind = settings.cache
    if kind == "auto":
        size = sum(origin.count for origin in origins.values()) * math.prod(shape[:3])
        kind = "memory" if size <= _MEMORY_LIMIT else "disk"
    if kind == "memory":
        return in_memory(origins, shape)
    if kind == "disk":
        return on_disk(origins, shape, source.data_dir(settings))
    return nowhere(origins, shape, settings)
