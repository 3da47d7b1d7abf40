"""What each kind of data gives to the pipeline: a `Source` for each split."""

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfvae import config

_NAMED = 10
SPLITS = ("train", "validation", "test")


class Labels(NamedTuple):
    """What is known of the images of a split besides their pixels; empty where nothing is."""

    attributes: dict  # name -> [N] int64, index into values[name].
    visible: dict  # name -> [N] bool: whether the attribute shows in the image.
    values: dict  # name -> tuple of str.


class Source(NamedTuple):
    """The images of one split, not yet decoded."""

    count: int
    channels: int  # 1 or 3: what the data has.
    stream: Callable  # () -> dataset of (index int64, file content string or image uint8 [h, w, 1, 3 or 4]).
    fetch: Callable | None  # index int64 -> the same; None where images come only in their order.
    identity: str  # Differs where the images may differ: the key of the store on disk.
    names: list | None = None  # A name for each image.
    labels: Callable = lambda: Labels({}, {}, {})  # Reads the `Labels`.


def digest(parts):
    """Returns 32 hexadecimal digits that differ where the parts differ; they are never all held at once."""
    found = hashlib.sha256()
    for number, part in enumerate(parts):
        # A file's name need not be UTF-8.
        found.update(("\0" * (number > 0) + str(part)).encode("utf-8", "surrogateescape"))
    return found.hexdigest()[:32]


def split_by_hash(names, holdout):
    """Deals images to the splits, by the hash of their names: the same image always goes to the same split.

    Args:
        names: A name for each image, no two alike.
        holdout: Share of validation, and again of the test.

    Returns:
        {split: sorted list of indices into `names`}; each split has at least one image where there are three.
    """
    hashes = (hashlib.sha256(str(name).encode("utf-8", "surrogateescape")).digest()[:8] for name in names)
    shares = np.fromiter((int.from_bytes(one, "big") for one in hashes), np.float64, len(names)) / 2**64
    order = np.argsort(shares, kind="stable")
    first, second = (int(np.searchsorted(shares[order], share)) for share in (holdout, 2 * holdout))
    if len(order) >= 3:
        first = min(max(first, 1), len(order) - 2)
        second = min(max(second, first + 1), len(order) - 1)
    parts = {"validation": order[:first], "test": order[first:second], "train": order[second:]}
    return {split: sorted(parts[split].tolist()) for split in SPLITS}


def named(names):
    """Returns the first few of file names in one line, whatever characters they hold, and how many there are more."""
    shown = [
        "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
        for name in sorted(names)[:_NAMED]
    ]
    return ", ".join(shown) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def data_dir(settings):
    """Returns the folder for prepared data: --data_dir, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return config.path_of(settings.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
