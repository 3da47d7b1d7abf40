"""Whether a walk between two images has images in between rather than other ones.

Of attributes in which the ends agree, each should stay; of those that differ, each should switch exactly once.
"""

from typing import NamedTuple

import numpy as np

from tfvae.evaluation import redrawing, sharpness
from tfvae.evaluation.scene import progress_bar


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


def largest_step(walks):
    """Returns the largest of the steps of a walk [W, S, H, W, C] over all of its steps together, mean over the walks.

    A step is the mean absolute difference of two frames. Even steps give 1 / (S - 1); 1 is a jump from end to end,
    which would keep and switch all attributes as it should. NaN where no walk moves.
    """
    steps = np.abs(np.diff(walks, axis=1)).mean(axis=(2, 3, 4))
    total = steps.sum(axis=1)
    return _share((steps.max(axis=1)[total > 0] / total[total > 0]).tolist())


def cross_fade(starts, ends, steps):
    """Returns the walks [W, steps, H, W, C] in pixels between images [W, H, W, C]: ghosts, to compare with."""
    weight = np.linspace(0, 1, steps, dtype=np.float32)[:, None, None, None]
    return (1 - weight) * np.asarray(starts, np.float32)[:, None] + weight * np.asarray(ends, np.float32)[:, None]


def add(scene, read):
    """Adds what walks between test images show, and a cross-fade in pixels to compare with.

    Returns:
        (the walks [W, S, H, W, C], their redrawings or None).
    """
    put, steps = scene.results.into("walks between test images"), scene.settings.steps
    count = min(scene.settings.sizes[1], len(scene.test.images) // 2)
    starts, ends = scene.test.images[0 : 2 * count : 2], scene.test.images[1 : 2 * count : 2]
    frames = []
    with progress_bar(count, "Walking", "walk") as bar:
        for start, end in zip(starts, ends, strict=True):
            frames.append(scene.served.walk(start, end, steps, *scene.settings.way))
            bar.update()
    frames, fades = np.stack(frames), cross_fade(starts, ends, steps)
    words = "of middle frames: mean gradient magnitude over that of test images"
    sharpness.add(scene, put, _flat(middles(frames)), words=words)
    redrawings = None if read is None else _by_attributes(scene, put, frames, read)
    words = f"the largest step of a walk over all of them together, mean; even steps: {1 / (steps - 1):.2g}"
    put("largest_step", largest_step(frames), None, "", "lower", words)
    words = "of a cross-fade in pixels, to compare with"
    sharpness.add(scene, put, _flat(middles(fades)), "cross_fade_sharpness", words)
    if read is not None:
        _by_attributes(scene, put, fades, read, "cross_fade_", f"{words}: ")
    return frames, redrawings


def _flat(walks):
    return walks.reshape(-1, *walks.shape[2:])


def _by_attributes(scene, put, frames, read, prefix="", words=""):
    """Adds what the attributes of walks say; returns the frames' redrawings, or None."""
    count, steps, *_ = frames.shape
    analysis = scene.analyst.read(_flat(frames), "Reading cross-fades" if prefix else "Reading walks")
    attributes, visible = (
        {name: column.reshape(count, steps) for name, column in part.items()}
        for part in (analysis.attributes, analysis.visible)
    )
    found = consistency(attributes, visible)
    what = f"{words}share of {found.agreeing} attributes alike at both ends that stay throughout"
    put(f"{prefix}stays", found.stays, None, "", "higher", what)
    what = f"{words}share of {found.differing} attributes that differ at the ends which switch exactly once"
    put(f"{prefix}switches_once", found.switches_once, None, "", "higher", what)
    if analysis.redrawings is None:
        return None
    psnrs = middles(redrawing.psnrs(_flat(frames), analysis).reshape(count, steps))
    true = redrawing.psnrs(scene.test.images, read.test)
    what = f"{words}PSNR of middle frames to their redrawings, median"
    put(f"{prefix}redrawing_psnr", np.median(psnrs), np.median(true), "dB", "higher", what)
    shares = [(one >= 20).mean() for one in (psnrs, true)]
    put(f"{prefix}redrawing_over_20", *shares, "", "higher", f"{words}share of middle frames over 20 dB")
    return analysis.redrawings.reshape(frames.shape)
