"""Labels in arrays beside arrays of images: classes as integers, words or one-hot rows, one or more for each image."""

import numpy as np

from tfvae.data import source as sources

MOST_VALUES = 1000  # Of an attribute.
_MOST_COLUMNS = 100  # Wider arrays are features, not attributes.


def _joined(parts):
    """Returns the labels [n, K] of all splits as one array [N, K]."""
    alike = []
    for part in parts:
        if part.dtype.kind == "S":
            part = np.char.decode(part, "utf-8", "backslashreplace")
        elif part.dtype.kind in "iu":
            part = part.astype(np.int64)  # Of int64 and uint64, NumPy would make floats.
        alike.append(part)
    return np.concatenate(alike)


def _is_one_hot(joined):
    if joined.shape[1] < 2 or joined.dtype.kind not in "bif":
        return False
    return bool(((joined == 0) | (joined == 1)).all() and (joined.sum(axis=1) == 1).all())


def _attributes(name, parts):
    """Makes attributes of the labels of all splits.

    Returns:
        ({attribute: (column [N] int64, values)}, {name of what is not used: why}).
    """
    parts = [part.reshape(len(part), -1) for part in parts]
    if len({part.shape[1] for part in parts}) > 1:
        return {}, {name: "of other columns in each split"}
    joined = _joined(parts)
    if _is_one_hot(joined):
        joined = joined.argmax(axis=1)[:, np.newaxis]
    count, width = joined.shape
    if joined.dtype.kind == "f":
        return {}, {name: "numbers, no classes"}
    if width > _MOST_COLUMNS:
        return {}, {name: f"{width:,} columns"}
    found, unused = {}, {}
    for number in range(width):
        column_name = f"{name}_{number}" if width > 1 else name
        values, column = np.unique(joined[:, number], return_inverse=True)
        if len(values) < 2:
            unused[column_name] = "one value"
        elif len(values) > MOST_VALUES or 2 * len(values) > count:
            unused[column_name] = f"{len(values):,} values"
        else:
            words = tuple(sources.one_line(str(value)) for value in values.tolist())
            found[column_name] = column.astype(np.int64), words
    return found, unused


def make(arrays, keys_of, splits):
    """Makes labels of arrays.

    Args:
        arrays: {key: array}.
        keys_of: {attribute: {split: key}}; an attribute is known where all splits have it.
        splits: The splits that have images of their own, in their order.

    Returns:
        (the `source.Labels` of all images, {array or column that is not used: why}).
    """
    found, unused = {}, {}
    for name, keys in keys_of.items():
        missing = [split for split in splits if split not in keys]
        if missing:
            unused |= {key: f"none for {missing[0]}" for key in keys.values()}
        else:
            columns, none = _attributes(name, [arrays[keys[split]] for split in splits])
            found |= columns
            unused |= {key + column.removeprefix(name): why for column, why in none.items() for key in keys.values()}
    columns = {name: column for name, (column, _) in found.items()}
    return sources.Labels(columns, {}, {name: values for name, (_, values) in found.items()}), unused
