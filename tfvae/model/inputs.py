"""Checks and scaling of what a `VAE` takes: images, and weights of them.

Kinds and shapes are checked wherever code is traced, which costs the compiled step nothing. Values are checked on the
host before the work begins: those of arrays whole, of data sets those of the first batch.
"""

import keras
import numpy as np
import tensorflow as tf

_ROUNDING = 1e-3  # Resizing and halved precision may go so far beyond [0, 1].
_AT_ONCE = 1024  # Images.


def scaled(images, image_shape, where="VAE"):
    """Returns images [B, H, W, C], uint8 or floats in [0, 1], as float32 in [0, 1].

    Raises:
        ValueError: If they are of another type or shape than (H, W, C), as far as these are known.
    """
    if not isinstance(images, tf.Tensor):
        images = tf.convert_to_tensor(images)
    _check_kind(where, image_shape, images)
    return tf.cast(images, tf.float32) / 255 if images.dtype == tf.uint8 else tf.cast(images, tf.float32)


def unpack(data, image_shape, where="VAE"):
    """Returns (images float32 [B, H, W, C] in [0, 1], weights float32 [B]) of a batch as Keras gives it to a step.

    Args:
        data: Images, (images, targets) or (images, targets, weights); targets are the images again, or None.
        image_shape: (H, W, C).
        where: Who asks, for the error.

    Raises:
        ValueError: If types or shapes show that it is anything else.
    """
    images, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
    _check_kind(where, image_shape, images, targets, weights)
    images = scaled(images, image_shape, where)
    return images, tf.ones(tf.shape(images)[:1]) if weights is None else tf.cast(weights, tf.float32)


def check(where, image_shape, x=None, y=None, sample_weight=None, class_weight=None, targets_count=True, **_):
    """Checks what `fit`, `evaluate` or `predict` was given, takes nothing out of it, and returns the targets to use.

    Keras drops weights that come without targets: with weights, images are their own targets.

    Of a `tf.data.Dataset` the first batch is looked at, by an iterator of its own; of a `keras.utils.PyDataset` item 0;
    of arrays all is. Other iterables can be read once only: the steps check the types and shapes of what they give.

    Args:
        where: Who asks, for the error.
        image_shape: (H, W, C).
        x, y, sample_weight, class_weight: As Keras takes them; its other arguments are of no interest.
        targets_count: Whether targets have to be the images; `predict` drops those of a data set.

    Raises:
        ValueError: In one line, if they are anything but images and weights of them.
    """
    if class_weight is not None:
        raise ValueError(f"{where} knows no classes: it takes sample_weight, it got class_weight.")
    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x.take(1)), None)
    elif isinstance(x, keras.utils.PyDataset):
        batch = x[0]
    elif hasattr(x, "__array__") or isinstance(x, (list, tuple, dict)):
        batch = x, y, sample_weight
    else:
        return y
    if batch is not None:  # Else an empty data set, of which Keras tells.
        images, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
        targets = targets if targets_count else None
        _check_kind(where, image_shape, images, targets, weights)
        _check_values(where, images, targets)
    return x if y is None and sample_weight is not None and batch[0] is x else y


def _check_kind(where, image_shape, images, targets=None, weights=None):
    if not hasattr(images, "shape") or not hasattr(images, "dtype"):
        raise ValueError(f"{where} takes images, one array or tensor; it got a {type(images).__name__}.")
    shape, dtype = tf.TensorShape(images.shape), keras.backend.standardize_dtype(images.dtype)
    if dtype != "uint8" and "float" not in dtype:
        raise ValueError(f"{where} takes images as uint8 or as floats in [0, 1]; it got {dtype}.")
    if not shape.is_compatible_with([None, *image_shape]):
        expected = ", ".join(map(str, ("B", *image_shape)))
        raise ValueError(f"{where} takes images of shape [{expected}]; it got shape {_text(shape)}.")
    if targets is not None and not _are_alike(images, targets):
        raise _not_the_images(where, targets)
    if weights is not None:
        given = tf.TensorShape(weights.shape if hasattr(weights, "shape") else np.shape(weights))
        if not given.is_compatible_with(shape[:1]):
            raise ValueError(f"{where} takes one weight for each image; it got weights of shape {_text(given)}.")


def _are_alike(images, targets):
    """Returns whether targets have the shape and the kind of numbers of the images."""
    if not hasattr(targets, "shape") or not tf.TensorShape(targets.shape).is_compatible_with(images.shape):
        return False
    kinds = [keras.backend.standardize_dtype(one.dtype) for one in (images, targets)]
    return kinds[0] == kinds[1] or all("float" in kind for kind in kinds)


def _not_the_images(where, targets):
    shape = _text(targets.shape) if hasattr(targets, "shape") else type(targets).__name__
    return ValueError(
        f"{where} takes images and, as sample_weight, weights; it got targets of shape {shape} that are not the images."
    )


def _check_values(where, images, targets):
    for start in range(0, len(images), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        chunk = np.asarray(images[here])
        if chunk.dtype != np.uint8:
            least, most = float(chunk.min()), float(chunk.max())
            # A nan is neither.
            if not (-_ROUNDING <= least and most <= 1 + _ROUNDING):
                found = most if most > 1 + _ROUNDING else least
                hint = ": divide by 255" if 1.5 < found < float("inf") else ""
                raise ValueError(f"{where} takes floats in [0, 1]; it got {found:.6g}{hint}.")
        if targets is not None and targets is not images:
            same = np.array_equal(chunk.astype(np.float32), np.asarray(targets[here]).astype(np.float32))
            if not same:
                raise _not_the_images(where, targets)


def _text(shape):
    return "[" + ", ".join("?" if size is None else str(size) for size in tf.TensorShape(shape)) + "]"
