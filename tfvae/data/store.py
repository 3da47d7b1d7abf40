"""Decodes each image once and keeps it as uint8, in memory or on disk.

Kept after the resize, for that is the smallest; before the shuffle, for a shuffle below would repeat one order; and
before float32, which takes four times as much.
"""

import functools
import os
import secrets
import shutil
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvae import config
from tfvae.data import images, source

_MEMORY_LIMIT = 2 * 1024**3
_NAMED = 10


class Shape(NamedTuple):
    """What all images are brought to, and how."""

    height: int
    width: int
    channels: int
    fit: str
    background_rgb: tuple


class Store(NamedTuple):
    """The decodable images of one split."""

    count: int
    rows: np.ndarray  # [count] int64: their indices in the source.
    gather: object  # [B] int64 numbers below count -> [B, H, W, C] uint8, in the graph.


def _to_rgba(image):
    """Returns the content of a file, or uint8 [h, w, 1, 3 or 4], as uint8 [h, w, 4]."""
    if image.dtype == tf.string:
        return images.decode(image)
    if image.shape[-1] == 1:
        image = tf.repeat(image, 3, axis=-1)
    if image.shape[-1] == 3:
        image = tf.concat([image, tf.fill(tf.concat([tf.shape(image)[:2], [1]], 0), tf.constant(255, tf.uint8))], -1)
    return image


@functools.lru_cache(maxsize=8)
def _preparer(shape):
    """Returns image -> [H, W, C] uint8 as one graph for all splits, for to trace it takes a second."""
    return tf.function(lambda image: images.prepare(_to_rgba(image), *shape), autograph=False)


def _decoded(origin, shape):
    """Yields (indices [n], images [n, H, W, C]) of all images that can be decoded."""
    prepare = _preparer(shape)
    each = origin.stream().map(
        lambda index, image: (index, prepare(image)), num_parallel_calls=tf.data.AUTOTUNE, deterministic=False
    )
    # What cannot be decoded is dropped here, and named afterwards as what did not arrive.
    yield from each.ignore_errors(log_warning=False).batch(64).prefetch(2).as_numpy_iterator()


def _fill(origin, shape, split, write):
    """Decodes all images, gives them to `write(indices, images)`, and returns the indices that arrived, sorted."""
    arrived = np.zeros(origin.count, bool)
    # Shown only where it takes long.
    with tqdm(
        total=origin.count, desc=f"Reading {split} images", unit="", delay=2.0, mininterval=0.5, leave=False
    ) as bar:
        for indices, decoded in _decoded(origin, shape):
            write(indices, decoded)
            arrived[indices] = True
            bar.update(len(indices))
    return np.flatnonzero(arrived)


def report_missing(origin, rows, settings):
    """Names the images that could not be decoded, in one warning, or one error with --strict."""
    missing = np.setdiff1d(np.arange(origin.count), rows)
    if not len(missing):
        return
    names = [origin.names[index] if origin.names else f"number {index}" for index in missing[:_NAMED]]
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    message = f"{len(missing)} of {origin.count} images cannot be decoded: {', '.join(names)}{more}"
    if settings.strict:
        raise config.UserError(f"--data={settings.data}: {message}.")
    warnings.warn(f"{message}; they are left out.", stacklevel=2)


def _from_memory(kept):
    with tf.device("CPU"):  # Never on an accelerator: batches are gathered by tf.data.
        held = tf.constant(kept)
    return lambda numbers: tf.gather(held, numbers)


def _from_disk(path, rows, shape):
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)

    def gather(numbers):
        batch = tf.numpy_function(lambda some: mapped[rows[some]], [numbers], tf.uint8, stateful=False)
        return tf.ensure_shape(batch, [*numbers.shape, *shape[:3]])

    return gather


def in_memory(origin, shape, split):
    """Returns a `Store` of one array in memory."""
    kept = np.empty([origin.count, *shape[:3]], np.uint8)

    def write(indices, decoded):
        kept[indices] = decoded

    rows = _fill(origin, shape, split, write)
    return Store(len(rows), rows, _from_memory(kept if len(rows) == origin.count else kept[rows]))


def on_disk(origin, shape, split, folder):
    """Returns a `Store` of a file below `folder`, which is written where no earlier run has left it."""
    final = os.path.join(folder, "tfvae_store", source.digest(origin.identity, *shape))
    if not os.path.isdir(final):
        # Under a temporary name until complete, for another process may look for it, and this one may be stopped.
        temporary = f"{final}.incomplete-{secrets.token_hex(4)}"
        os.makedirs(temporary)
        try:
            size = (origin.count, *shape[:3])
            kept = np.lib.format.open_memmap(os.path.join(temporary, "images.npy"), "w+", np.uint8, size)

            def write(indices, decoded):
                kept[indices] = decoded

            np.save(os.path.join(temporary, "rows.npy"), _fill(origin, shape, split, write))
            kept.flush()
            del kept
            try:
                os.rename(temporary, final)
            except OSError:
                if not os.path.isdir(final):  # Otherwise another process was first.
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    rows = np.load(os.path.join(final, "rows.npy"), allow_pickle=False)
    return Store(len(rows), rows, _from_disk(os.path.join(final, "images.npy"), rows, shape))


def nowhere(origin, shape, split):
    """Returns a `Store` that decodes each image anew, each time."""
    rows = _fill(origin, shape, split, lambda indices, decoded: None)
    held = tf.constant(rows)

    def gather(numbers):
        return tf.map_fn(
            lambda number: _preparer(shape)(origin.fetch(tf.gather(held, number))),
            numbers,
            parallel_iterations=16,
            fn_output_signature=tf.TensorSpec(shape[:3], tf.uint8),
        )

    return Store(len(rows), rows, gather)


def keep(origins, shape, settings):
    """Returns {split: `Store`} as --cache says.

    Args:
        origins: {split: `source.Source`}.
        shape: A `Shape`.
        settings: A `config.DataConfig`.

    Raises:
        UserError: With --strict, if an image cannot be decoded; or if --cache=none does not suit the data.
    """
    kind = settings.cache
    if kind == "auto":
        size = sum(origin.count for origin in origins.values()) * int(np.prod(shape[:3]))
        kind = "memory" if size <= _MEMORY_LIMIT else "disk"
    stores = {}
    for split, origin in origins.items():
        if kind == "memory":
            stores[split] = in_memory(origin, shape, split)
        elif kind == "disk":
            stores[split] = on_disk(origin, shape, split, source.data_dir(settings))
        elif origin.fetch is None:
            raise config.UserError(
                f"--cache=none needs a folder or a file of images, got --data={settings.data}; use --cache=disk."
            )
        else:
            stores[split] = nowhere(origin, shape, split)
    return stores
