"""Whether samples have what the data has, as often: of each attribute the total variation distance.

An attribute counts in those images only in which it shows.
"""

import numpy as np

_SPLITS = 20  # The floor is a mean over so many random divisions of the held-out images.


def shares(attributes, visible, values):
    """Returns {attribute: [V]}: how often each value occurs among the images in which the attribute shows.

    Args:
        attributes: {attribute: [N] int64}.
        visible: {attribute: [N] bool}; an attribute that is missing shows everywhere.
        values: {attribute: tuple of str}.

    Returns:
        Shares that sum to 1; NaN where an attribute shows nowhere.
    """
    found = {}
    for name, names in values.items():
        column = np.asarray(attributes[name])
        column = column[np.asarray(visible[name])] if name in visible else column
        counts = np.bincount(column, minlength=len(names)).astype(np.float64)
        found[name] = counts / counts.sum() if counts.sum() else np.full(len(names), np.nan)
    return found


def total_variation(one, other):
    """Returns half the sum of absolute differences of two lists of shares: 0 if they agree, 1 if they have nothing in
    common."""
    return float(0.5 * np.abs(np.asarray(one) - np.asarray(other)).sum())


def distances(one, other):
    """Returns {attribute: total variation distance} of two results of `shares`."""
    return {name: total_variation(one[name], other[name]) for name in one}


def take(columns, rows):
    """Returns {name: column[rows]}."""
    return {name: column[rows] for name, column in columns.items()}


def floor(read, known, values, count, seed):
    """Returns {attribute: distance} of held-out images to other held-out images: what chance and misreading cause.

    Args:
        read: (attributes, visible) of N held-out images, read as samples are.
        known: (attributes, visible) of the same images as the data says.
        values: {attribute: tuple of str}.
        count: How many of the images stand for samples; the others stand for the data.
        seed: Of the divisions.
    """
    number = len(next(iter(read[0].values())))
    random = np.random.default_rng([seed, 2])
    found = []
    for _ in range(_SPLITS):
        order = random.permutation(number)
        samples = shares(*(take(columns, order[:count]) for columns in read), values)
        data = shares(*(take(columns, order[count:]) for columns in known), values)
        found.append(distances(samples, data))
    return {name: float(np.nanmean([one[name] for one in found])) for name in values}
