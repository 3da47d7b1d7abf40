"""--data=FILE.npz or FILE.npy: arrays of images, their splits by the arrays' names, and labels beside them.

Nothing is unpickled. The values of all image arrays are looked at before they become uint8: `value_range` says which of
them become black and white.
"""

import itertools
import math
import re
from typing import NamedTuple

import numpy as np

from tfvae import config
from tfvae.data import array_labels, value_range
from tfvae.data import source as sources

# What arrays are called besides their split, the likeliest first; "" is a .npy file, or a split's name alone.
_IMAGES = ("images", "imgs", "image", "img", "x", "", "data", "arr_0")
_CLASSES = ("y", "labels", "label", "targets", "target", "classes", "class")
_SPLIT_OF = {word: split for split, words in sources.SPLIT_NAMES.items() for word in words}
_BLOCK = 2**22  # Values that are looked at at once: a float copy of everything may not fit.


class _Header(NamedTuple):
    """What is known of an array before it is read."""

    shape: tuple
    dtype: np.dtype


def _parsed(key):
    """Returns (split or "", the rest of the name) of an array's name: x_train and train_x are ("train", "x")."""
    words = re.split(r"[^A-Za-z0-9]+", key)
    for place in (0, -1):
        split = _SPLIT_OF.get(words[place].lower())
        if split:
            del words[place]
            return split, "_".join(words)
    return "", key


def _headers(opened):
    """Returns {key: `_Header`} of the arrays in an `NpzFile`."""
    found = {}
    for member in opened.zip.namelist():
        with opened.zip.open(member) as file:
            try:
                version = np.lib.format.read_magic(file)
            except ValueError:
                continue  # No array.
            is_first = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        found[member.removesuffix(".npy")] = _Header(shape, dtype)
    return found


def _is_image_array(header):
    shape = header.shape
    if len(shape) == 3:  # One RGB image [H, W, 3] is no stack of images that are three pixels wide.
        return not (shape[-1] in (3, 4) and min(shape[:2]) >= 8)
    return len(shape) == 4 and shape[-1] in (1, 3, 4)


def _image_shape(header):
    """Returns [h, w, c] of an array of images."""
    return [*header.shape[1:], 1] if len(header.shape) == 3 else list(header.shape[1:])


def _image_keys(path, headers, pickled):
    """Returns {split: key} of the arrays of images, "train" first."""
    by_name = {}
    for key in headers:
        split, base = _parsed(key)
        by_name.setdefault((split, base.lower()), key)
    found = {}
    for split, names in (("train", ("train", "")), ("validation", ("validation",)), ("test", ("test",))):
        named = [by_name[name, base] for name in names for base in _IMAGES if (name, base) in by_name]
        fitting = [key for key in named if _is_image_array(headers[key])]
        if split == "train" and not fitting:
            alike = [key for key, header in headers.items() if _is_image_array(header) and header.dtype.kind in "biuf"]
            alike = [key for key in alike if not _parsed(key)[0]]
            fitting = alike if len(alike) == 1 else []
        if fitting or named:
            found[split] = (fitting or named)[0]
    if "train" not in found:
        got = sources.named(headers) or "none"
        got += f"; {sources.named(pickled)} would need pickle" if pickled else ""
        raise config.UserError(
            f"{path}: expected an array of images named x_train, train, images, or a single one, got {got}."
        )
    for key in found.values():
        _check(headers[key], _where(path, key))
    shapes = {split: _image_shape(headers[key]) for split, key in found.items()}
    if len({shape[-1] for shape in shapes.values()}) > 1:
        raise config.UserError(f"{path}: expected splits with the same number of channels, got {shapes}.")
    return found


def _where(path, key):
    return f"{path}:{sources.one_line(key)}" if key else str(path)


def _check(header, where):
    shape = list(header.shape)
    if not _is_image_array(header):
        raise config.UserError(f"{where}: expected images [N, H, W] or [N, H, W, 1, 3 or 4], got shape {shape}.")
    if 0 in shape:
        raise config.UserError(f"{where}: expected images, got none: shape {shape}.")
    if header.dtype.kind not in "biuf":
        raise config.UserError(f"{where}: expected numbers, got {header.dtype}.")


def _label_keys(headers, images):
    """Returns {attribute: {split: key}} of the arrays that have a row for each image of a split.

    Without the name of a split, an array is of the training images.
    """
    found = {}
    for key, header in headers.items():
        split, base = _parsed(key)
        split = split or "train"
        if key in images.values() or not base or split not in images or len(header.shape) not in (1, 2):
            continue
        if header.shape[1:] > (array_labels.MOST_VALUES,):
            continue  # Too wide for one-hot rows even.
        if header.shape[0] == headers[images[split]].shape[0] and header.dtype.kind in "biufUS":
            name = "class" if base.lower() in _CLASSES else base
            found.setdefault(name, {}).setdefault(split, key)
    return found


def _unused(headers, images, used):
    """Returns the keys that are not used; of labels of another length with what was expected."""
    found = {key: "" for key in headers if key not in used}
    for key in found:
        split, base = _parsed(key)
        own = images.get(split or "train")
        if own and base.lower() in _CLASSES and headers[key].shape:
            found[key] = f" ({headers[key].shape[0]:,} values for {headers[own].shape[0]:,} images)"
    return [key + why for key, why in found.items()]


def _read(path):
    """Reads the arrays that are of use.

    Returns:
        ({key: array}, {split: key} of images, {attribute: {split: key}} of labels, keys that need pickle, keys of
        arrays that are not used).
    """
    try:
        with open(path, "rb") as file:
            opened = np.load(file, allow_pickle=False)
            if isinstance(opened, np.ndarray):
                opened = headers = {"": opened}
            else:
                headers = _headers(opened)
            pickled = [key for key, header in headers.items() if header.dtype.hasobject]
            headers = {key: header for key, header in headers.items() if key not in pickled}
            images = _image_keys(path, headers, pickled)
            labels = _label_keys(headers, images)
            used = {*images.values(), *(key for keys in labels.values() for key in keys.values())}
            arrays = {key: opened[key] for key in headers if key in used}
            return arrays, images, labels, pickled, _unused(headers, images, used)
    except config.UserError:
        raise
    except MemoryError as error:
        raise config.UserError(f"{path}: not enough memory: {' '.join(str(error).split())}.") from None
    except Exception as error:  # A damaged file can raise nearly anything in there.
        # Of whatever it does not know, NumPy says that it is pickled, and how to open that.
        words = "none that NumPy reads without pickle." if "pickle" in str(error) else " ".join(str(error).split())
        raise config.UserError(f"{path}: expected arrays of numbers, got {words}") from None


def _blocks(images):
    """Yields slices of a few images each."""
    step = max(1, _BLOCK // math.prod(images.shape[1:]))
    return (slice(start, start + step) for start in range(0, len(images), step))


def _extrema(images, where):
    """Returns (least, largest) of the colours and the largest alpha (0 without) of images [N, h, w, c]."""
    lows, highs, alphas = [], [], [0]
    for block in _blocks(images):
        part = images[block]
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            wrong = np.argwhere(~np.isfinite(part))[0]
            got = f"{part[tuple(wrong)]} in image {block.start + wrong[0]}"
            raise config.UserError(f"{where}: expected finite numbers, got {got}.")
        lows.append(part[..., :3].min().item())
        highs.append(part[..., :3].max().item())
        if part.shape[-1] == 4:
            alphas.append(part[..., 3].max().item())
    return min(lows), max(highs), max(alphas)


def _uint8(images, values, alpha_values):
    """Returns images [N, h, w, c] as uint8, uncopied where they are."""
    has_alpha = images.shape[-1] == 4
    if images.dtype == np.uint8 and values == value_range.BYTES and not (has_alpha and alpha_values != values):
        return images
    found = np.empty(images.shape, np.uint8)
    for block in _blocks(images):
        found[block][..., :3] = values.to_uint8(images[block][..., :3])
        if has_alpha:
            found[block][..., 3] = alpha_values.to_uint8(images[block][..., 3])
    return found


def _spoken(value):
    return f"{value:,.6g}" if isinstance(value, float) else f"{int(value):,}"


def _to_uint8(images, where, settings, deep_values):
    """Makes arrays of images [N, h, w, c] uint8, in place, one after the other.

    Integers and floats have a range each, for 255 is white among integers and 1 among floats.

    Args:
        images: {split: array}.
        where: {split: words for errors}.
        settings: A `config.DataConfig`.
        deep_values: The `value_range.ValueRange` of integers of more than 8 bits; None: looked at.

    Returns:
        (lines on the values found, where the range is not what the type stands for; the range of integers of more than
        8 bits, or None).
    """
    lines = []
    for kinds in ("b", "iu", "f"):
        splits = [split for split, array in images.items() if array.dtype.kind in kinds]
        if not splits:
            continue
        extrema = [_extrema(images[split], where[split]) for split in splits]
        lowest, highest = min(low for low, _, _ in extrema), max(high for _, high, _ in extrema)
        dtype = max((images[split].dtype for split in splits), key=lambda dtype: dtype.itemsize)
        values, is_usual = value_range.choose(dtype, lowest, highest, settings)
        if dtype.kind in "iu" and dtype.itemsize > 1:
            deep_values = values = deep_values or values
        # What is opaque: the full scale of floats, 8 or 16 bits, whatever type they are kept in.
        opaque = max(alpha for _, _, alpha in extrema)
        opaque = next((scale for scale in (1, 2**8 - 1, 2**16 - 1) if opaque <= scale), opaque)
        if not is_usual:
            is_said = (settings.black, settings.white) != ("auto", "auto")
            lines.append(
                f"values from {_spoken(lowest)} to {_spoken(highest)} ({dtype.name}): "
                f"{values.black:.10g} becomes black, {values.white:.10g} white; "
                + ("as --black and --white say" if is_said else "--black and --white say otherwise")
            )
        for split in splits:
            images[split] = _uint8(images[split], values, value_range.ValueRange(0.0, float(opaque)))
    return lines, deep_values


def find(settings, path, deep_values=None):
    """Returns the `source.Source` of the arrays in a file.

    Args:
        settings: A `config.DataConfig`.
        path: A `pathlib.Path`.
        deep_values: The `value_range.ValueRange` of integers of more than 8 bits; None: looked at.

    Raises:
        UserError: If there are no images in the file, or it cannot be read.
    """
    stat = path.stat()
    identity = [path.resolve(), stat.st_size, stat.st_mtime_ns, settings.black, settings.white, deep_values]
    arrays, keys, label_keys, pickled, unused = _read(path)
    labels, no_labels = array_labels.make(arrays, label_keys, list(keys))
    images = {split: arrays.pop(key) for split, key in keys.items()}
    for split, array in images.items():
        images[split] = array[..., np.newaxis] if array.ndim == 3 else array
    del array
    where = {split: _where(path, key) for split, key in keys.items()}
    found, deep_values = _to_uint8(images, where, settings, deep_values)
    left_out = [f"arrays that need pickle, which is never opened: {sources.named(pickled)}"] * bool(pickled)
    unused += [f"{name} ({why})" for name, why in no_labels.items()]
    left_out += [f"arrays that are not used: {sources.named(unused)}"] * bool(unused)
    ends = list(itertools.accumulate(map(len, images.values())))
    starts = [0, *ends[:-1]]
    official = {split: np.arange(start, end) for split, start, end in zip(images, starts, ends, strict=True)}

    def fetch(index):
        places = zip(images.values(), starts, ends, strict=True)
        return next(array[index - start] for array, start, end in places if index < end)

    return sources.Source(
        count=ends[-1],
        channels=1 if images["train"].shape[-1] == 1 else 3,
        stream=lambda: enumerate(itertools.chain(*images.values())),
        fetch=fetch,
        identity=sources.digest(identity),
        official=official if len(official) > 1 else {},
        labels=labels.take,
        deep_values=deep_values,
        found=tuple(found),
        left_out=tuple(left_out),
    )
