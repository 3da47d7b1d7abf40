"""What each kind of data gives to the pipeline: a `Source` of images that are not yet decoded."""

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

from tfvae import config

_NAMED = 10
SPLITS = ("train", "validation", "test")
# What official splits are called, by folders, arrays and data sets.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


class Labels(NamedTuple):
    """What is known of images besides their pixels; empty where nothing is."""

    attributes: dict = {}  # name -> [N] int64, index into values[name].
    visible: dict = {}  # name -> [N] bool: whether the attribute shows in the image.
    values: dict = {}  # name -> tuple of str.

    def take(self, rows):
        """Returns the labels of some of the images."""
        columns = ({name: column[rows] for name, column in group.items()} for group in (self.attributes, self.visible))
        return Labels(*columns, self.values)


class Source(NamedTuple):
    """Images of one data set, not yet decoded.

    An image comes as a file's path (str), as a file's content (bytes), or as uint8 pixels [h, w, 1, 3 or 4].
    """

    count: int
    channels: int  # 1 or 3: what the data has.
    stream: Callable  # () -> iterator of (index, image), each index once.
    fetch: Callable | None  # index -> image; None where images come only in their order.
    identity: str  # Differs where the images may differ: a part of the key of the cache on disk.
    official: dict  # split -> indices [n] that the data themselves say; what is missing is dealt from "train".
    names: list | None = None  # A name for each image.
    labels: Callable = lambda rows: Labels()  # rows [n] int64 -> the `Labels` of these images.
    looks_at_bytes: bool = False  # Whether files of 8 bits may hold values such as 0 and 1: arrays, kept as files.
    deep_values: tuple | None = None  # (black, white) of integers of more than 8 bits, where there were any.
    found: tuple = ()  # Lines that say what was found, such as a range of values.
    left_out: tuple = ()  # Lines that say what was left out, and why.


def digest(parts):
    """Returns 32 hexadecimal digits that differ where the parts differ; they are never all held at once."""
    found = hashlib.sha256()
    for number, part in enumerate(parts):
        # A file's name need not be UTF-8.
        found.update(("\0" * (number > 0) + str(part)).encode("utf-8", "surrogateescape"))
    return found.hexdigest()[:32]


def one_line(text):
    """Returns `text` with what would break a line, such as a file's name can hold, written as \\n."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def named(names):
    """Returns the first few of file names in one line, whatever characters they hold, and how many there are more."""
    shown = ", ".join(one_line(name) for name in sorted(names)[:_NAMED])
    return shown + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def data_dir(settings):
    """Returns the folder for prepared data: --data_dir, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return config.path_of(settings.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
