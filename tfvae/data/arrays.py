"""--data=FILE.npz or FILE.npy: arrays of images."""

import numpy as np
import tensorflow as tf

from tfvae import config
from tfvae.data import source

_TRAINING = ("x_train", "train", "train_images")
_VALIDATION = ("x_val", "x_valid", "x_validation", "val", "valid", "validation")
_TEST = ("x_test", "test", "test_images")
_ALONE = ("images", "x", "data", "arr_0")


def _is_image_array(array):
    return array.ndim == 3 or (array.ndim == 4 and array.shape[-1] in (1, 3, 4))


def _uint8(array, where):
    """Returns images of 8 or 16 bits, or floats in [0, 1], as uint8."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # In either order of bytes.
        return (array >> 8).astype(np.uint8)  # As PNG readers take 16 bits to 8.
    floats = array.dtype.kind == "f"
    if not floats and array.dtype.kind not in "iu":
        raise config.UserError(f"{where}: expected numbers, got {array.dtype}.")
    kind, most = ("floats", 1) if floats else ("integers", 255)
    parts = []
    for start in range(0, len(array), 128):  # In parts, for a float copy of everything may not fit.
        part = array[start : start + 128]
        wrong = np.argwhere(~((part >= 0) & (part <= most)))  # NaN is in no range.
        if len(wrong):
            got = f"{part[tuple(wrong[0])]} in image {start + wrong[0][0]}"
            raise config.UserError(f"{where}: expected {kind} from 0 to {most}, got {got}.")
        parts.append((np.round(part.astype(np.float64) * 255) if floats else part).astype(np.uint8))
    return np.concatenate(parts)


def _checked(array, where):
    """Returns images as [N, h, w, 1, 3 or 4] uint8."""
    shape = list(array.shape)
    if _is_image_array(array) and 0 in shape:
        raise config.UserError(f"{where}: expected images, got none: shape {shape}.")
    if not _is_image_array(array):
        raise config.UserError(f"{where}: expected images [N, H, W] or [N, H, W, 1, 3 or 4], got shape {shape}.")
    return _uint8(array, where)[..., np.newaxis] if array.ndim == 3 else _uint8(array, where)


def _read(path):
    """Returns {key: array}, with the empty key for a .npy file."""
    try:
        with open(path, "rb") as file:
            opened = np.load(file, allow_pickle=False)
            if isinstance(opened, np.ndarray):
                return {"": opened}
            wanted = _TRAINING + _VALIDATION + _TEST + _ALONE
            keys = [key for key in opened.files if key in wanted] or opened.files
            return {key: array for key in keys if isinstance(array := opened[key], np.ndarray)}
    except MemoryError as error:
        raise config.UserError(f"{path}: not enough memory: {' '.join(str(error).split())}.") from None
    except Exception as error:  # A damaged file can raise nearly anything in there.
        # Of whatever it does not know, NumPy says that it is pickled, and how to open that.
        words = "none that NumPy reads without pickle." if "pickle" in str(error) else " ".join(str(error).split())
        raise config.UserError(f"{path}: expected arrays of numbers, got {words}") from None


def _first(arrays, keys):
    return next((key for key in keys if key in arrays), None)


def _splits(path, holdout):
    """Returns {split: [N, h, w, c] uint8}."""
    arrays = _read(path)
    training, validation, test = (_first(arrays, keys) for keys in (_TRAINING, _VALIDATION, _TEST))
    if training is None:
        images = [key for key, array in arrays.items() if _is_image_array(array)]
        training = _first(arrays, ("", *_ALONE)) or (images[0] if len(images) == 1 else None)
        if training is None:
            training = "" if "" in arrays else None
    if training is None:
        raise config.UserError(
            f"{path}: expected an array of images named x_train, train, or the only one, "
            f"got {', '.join(arrays) or 'none'}."
        )
    found = {"train": training, "validation": validation, "test": test}
    splits = {
        split: _checked(arrays[key], f"{path}:{key}" if key else str(path))
        for split, key in found.items()
        if key is not None
    }
    shapes = {split: list(images.shape[1:]) for split, images in splits.items()}
    if len({shape[-1] for shape in shapes.values()}) > 1:
        raise config.UserError(f"{path}: expected splits with the same number of channels, got {shapes}.")
    # What has no split of its own is dealt from the training images, by their numbers.
    if len(splits) < 3:
        parts = source.split_by_hash(range(len(splits["train"])), holdout)
        whole = splits["train"]
        missing = [split for split in source.SPLITS if split not in splits]
        kept = sorted(set(range(len(whole))).difference(*(parts[split] for split in missing)))
        splits |= {split: whole[parts[split]] for split in missing} | {"train": whole[kept]}
    return splits


def _source(images, identity):
    channels = 1 if images.shape[-1] == 1 else 3
    with tf.device("CPU"):
        held = tf.constant(images)

    def fetch(index):
        return tf.gather(held, index)

    def stream():
        return tf.data.Dataset.range(len(images)).map(lambda index: (index, fetch(index)), tf.data.AUTOTUNE)

    return source.Source(len(images), channels, stream, fetch, identity)


def find(settings, path):
    """Returns {split: `source.Source`} of the arrays in `path`."""
    stat = path.stat()
    identity = source.digest([path.resolve(), stat.st_size, stat.st_mtime_ns, settings.holdout])
    splits = _splits(path, settings.holdout)
    return {split: _source(images, source.digest([identity, split])) for split, images in splits.items()}
