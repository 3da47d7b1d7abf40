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


def add(scene, put, analysis, read):
    """Adds how far the attributes of samples are from those of test images; returns the details."""
    values, test, other = scene.analyst.values, scene.test, scene.other
    known = shares(test.attributes, test.visible, values)
    found = shares(analysis.attributes, analysis.visible, values)
    rebuilt = shares(read.reconstructions.attributes, read.reconstructions.visible, values)
    apart, apart_rebuilt = distances(found, known), distances(rebuilt, known)
    if scene.own is scene.data:
        floors = floor(
            (_joined(read.test.attributes, read.other.attributes), _joined(read.test.visible, read.other.visible)),
            (_joined(test.attributes, other.attributes), _joined(test.visible, other.visible)),
            values,
            min(len(next(iter(analysis.attributes.values()))), len(other.images)),
            scene.settings.seed,
        )
    else:  # Another distribution: as far from it as the own validation images are, so would be perfect samples.
        floors = distances(shares(read.other.attributes, read.other.visible, values), known)
    counted = [name for name in values if not np.isnan(apart[name] + floors[name])]
    if counted:
        one, lowest = (np.array([some[name] for name in counted]) for some in (apart, floors))
        words = "total variation distance to test images"
        put("coverage_tv_mean", one.mean(), lowest.mean(), "", "lower", f"{words}, mean over attributes")
        put("coverage_tv_max", one.max(), lowest.max(), "", "lower", f"{words}, largest: {counted[one.argmax()]}")
        above = one - lowest
        words = f"the distance less its floor, of {len(test.images):,} test images (of fewer it is less)"
        put("coverage_above_floor_mean", above.mean(), None, "", "lower", f"{words}, mean")
        words = f"{words}, largest: {counted[above.argmax()]}"
        put("coverage_above_floor_max", above.max(), None, "", "lower", words)
        rebuilt_mean = np.nanmean([apart_rebuilt[name] for name in counted])
        words = "the distance of reconstructions to test images, mean"
        put("coverage_tv_mean_of_reconstructions", rebuilt_mean, lowest.mean(), "", "lower", words)
    if scene.analyst.rare:
        name, value = scene.analyst.rare
        at = values[name].index(value)
        held_out = shares(other.attributes, other.visible, values)
        words = f"rare on purpose: {known[name][at]:.3f} of the test images have it"
        put(f"share_of_{value}", found[name][at], held_out[name][at], "", "", words)
    return {
        name: {
            "distance": apart[name],
            "floor": floors[name],
            "shares of test images and of samples": {
                value: [float(known[name][k]), float(found[name][k])] for k, value in enumerate(names)
            },
        }
        for name, names in values.items()
    }


def _joined(columns, others):
    return {name: np.concatenate([column, others[name]]) for name, column in columns.items()}
