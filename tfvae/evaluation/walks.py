"""Whether a walk between two images has images in between rather than other ones.

Of attributes in which the ends agree, each should stay; of those that differ, each should switch exactly once.
"""

from typing import NamedTuple

import numpy as np


class Consistency(NamedTuple):
    """Of all walks and attributes together; NaN where there was nothing to look at."""

    stays: float  # Share of the attributes that agree at the ends which keep their value throughout.
    switches_once: float  # Share of those that differ which change from the one value to the other, once.
    agreeing: int  # How many agreed.
    differing: int


def consistency(attributes, visible):
    """Looks at the attributes of walks.

    Args:
        attributes: {attribute: [W, S] int64} of the S frames of W walks.
        visible: {attribute: [W, S] bool}: frames in which it does not show say nothing; where it does not show at an
            end, the walk does not count. An attribute that is missing shows everywhere.

    Returns:
        A `Consistency`.
    """
    kept, switched = [], []
    for name, frames in attributes.items():
        shows = visible.get(name, np.ones(np.shape(frames), bool))
        for walk, seen in zip(frames, shows, strict=True):
            if not (seen[0] and seen[-1]):
                continue
            walk = walk[seen]
            changes = int((walk[1:] != walk[:-1]).sum())
            if walk[0] == walk[-1]:
                kept.append(changes == 0)
            else:
                switched.append(changes == 1)
    return Consistency(_share(kept), _share(switched), len(kept), len(switched))


def _share(marks):
    return float(np.mean(marks)) if marks else float("nan")


def middles(walks):
    """Returns the middle half of the frames of walks [W, S, ...], without the ends: [W, M, ...]."""
    steps = walks.shape[1]
    if steps < 3:
        return walks[:, :0]
    reach = max(1, round(steps / 4))
    return walks[:, min(reach, steps // 2) : max(steps - reach, steps // 2 + 1)]


def cross_fade(starts, ends, steps):
    """Returns the walks [W, steps, H, W, C] in pixels between images [W, H, W, C]: ghosts, to compare with."""
    weight = np.linspace(0, 1, steps, dtype=np.float32)[:, None, None, None]
    return (1 - weight) * np.asarray(starts, np.float32)[:, None] + weight * np.asarray(ends, np.float32)[:, None]
