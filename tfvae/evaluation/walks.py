"""Whether a walk between two images has images in between rather than other ones.

Of attributes in which the two images agree, each should stay; of those that differ, each should switch exactly once.
"""

import itertools
from typing import NamedTuple

import numpy as np

from tfvae.evaluation import redrawing, sharpness
from tfvae.evaluation.progress import progress_bar

HIDDEN = -1  # In the place of a value that does not show.


class Consistency(NamedTuple):
    """Of all walks and attributes together; NaN where there was nothing to look at."""

    stays: float  # Share of the attributes alike in both images that have their value throughout.
    switches_once: float  # Share of those that differ which go from the one image's value to the other's, once.
    alike: int  # How many are alike.
    differing: int


def consistency(frames, ends):
    """Looks at the attributes of walks between images whose attributes are known.

    What the images have counts, not what the walk's own first and last frames show: a model that draws one and the same
    image throughout would keep everything.

    Args:
        frames: {attribute: [W, S] int64} read from the S frames of W walks. `HIDDEN` says nothing; but an attribute
            that shows in both images and in no frame has neither stayed nor switched.
        ends: {attribute: [W, 2] int64} of the two images; a walk with `HIDDEN` among them does not count.

    Returns:
        A `Consistency`.
    """
    kept, switched = [], []
    for name, walks in frames.items():
        for walk, (first, last) in zip(walks, ends[name].tolist(), strict=True):
            if HIDDEN in (first, last):
                continue
            course = [value for value, _ in itertools.groupby(walk[walk != HIDDEN].tolist())]
            if first == last:
                kept.append(course == [first])
            else:
                switched.append(course == [first, last])
    return Consistency(_share(kept), _share(switched), len(kept), len(switched))


def _marked(attributes, visible):
    """Returns attributes with `HIDDEN` where they do not show; one that `visible` lacks shows everywhere."""
    return {name: np.where(visible.get(name, True), column, HIDDEN) for name, column in attributes.items()}


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


def pairs(number, count):
    """Returns the rows (starts [W], ends [W]) of W <= `count` pairs among `number` images.

    Evenly over the images, half of them apart: where they are sorted by kind, the two of a pair are of different kinds.
    """
    half = number // 2
    starts = np.linspace(0, half, min(count, half), endpoint=False).astype(int)
    return starts, starts + half


def one_after_the_other(first, last, steps):
    """Returns a walk [steps, A] from attribute indices `first` [A] to `last`: what differs changes in turn."""
    differing = np.flatnonzero(first != last)
    changed = np.rint(np.linspace(0, len(differing), steps))[:, None]
    walk = np.repeat(first[None], steps, axis=0)
    walk[:, differing] = np.where(np.arange(len(differing)) < changed, last[differing], first[differing])
    return walk


def add(scene, read):
    """Adds what walks between test images show, and a cross-fade in pixels to compare with.

    Returns:
        (the walks [W, S, H, W, C], their redrawings or None).
    """
    put, steps = scene.results.into("walks between test images"), scene.settings.steps
    rows = pairs(len(scene.test.images), scene.settings.sizes[1])
    starts, ends = (scene.test.images[some] for some in rows)
    frames = []
    with progress_bar(len(starts), "Walking", "walk") as bar:
        for start, end in zip(starts, ends, strict=True):
            frames.append(scene.served.walk(start, end, steps, *scene.settings.way))
            bar.update()
    frames, fades = np.stack(frames), cross_fade(starts, ends, steps)
    perfect = None if read is None or scene.analyst.style is None else _perfect(scene, rows)

    def sharp(walks):
        return None if walks is None else sharpness.ratio(_flat(middles(walks)), np.concatenate([starts, ends]))

    words = "of middle frames: mean gradient magnitude over that of the images at the ends"
    put("sharpness", sharp(frames), sharp(perfect), "", "1", words)
    floor = None if perfect is None else _consistency(scene, _read(scene, perfect, "Reading the renderer's walks"))
    redrawings = None if read is None else _by_attributes(scene, put, frames, read, floor=floor)
    words = f"the largest step of a walk over all of them together, mean; even steps: {1 / (steps - 1):.2g}"
    put("largest_step", largest_step(frames), None, "", "lower", words)
    words = "of a cross-fade in pixels, to compare with"
    put("cross_fade_sharpness", sharp(fades), sharp(perfect), "", "1", words)
    if read is not None:
        _by_attributes(scene, put, fades, read, "cross_fade_", f"{words}: ")
    if perfect is not None:
        rebuilt = np.concatenate([scene.served.reconstruct(walk) for walk in perfect]).reshape(perfect.shape)
        found = _consistency(scene, _read(scene, rebuilt, "Reading reconstructed walks"))
        words = "of reconstructions of the renderer's walk, an attribute after the other: as far as this decoder goes"
        put("stays_of_reconstructions", found.stays, floor.stays, "", "higher", words)
        put("switches_once_of_reconstructions", found.switches_once, floor.switches_once, "", "higher", words)
    return frames, redrawings


def _flat(walks):
    return walks.reshape(-1, *walks.shape[2:])


def _perfect(scene, rows):
    """Returns the walks [W, S, H, W, C] that the true renderer draws between test images, rows ([W], [W])."""
    known = np.stack([scene.test.attributes[name] for name in scene.analyst.values], axis=1)
    ends, steps = zip(*(known[some] for some in rows), strict=True), scene.settings.steps
    ways = [one_after_the_other(first, last, steps) for first, last in ends]
    drawn = scene.analyst.draw(np.concatenate(ways))
    return drawn.reshape(len(ways), steps, *drawn.shape[1:])


def _read(scene, frames, words):
    """Returns the `synthesis.Analysis` of all frames of walks [W, S, H, W, C]."""
    return scene.analyst.read(_flat(frames), words)


def _consistency(scene, analysis):
    """Returns the `Consistency` of an analysis of walks between test images."""
    rows = np.stack(pairs(len(scene.test.images), scene.settings.sizes[1]), axis=1)
    found = _marked(analysis.attributes, analysis.visible)
    known = _marked(scene.test.attributes, scene.test.visible)
    frames = {name: column.reshape(-1, scene.settings.steps) for name, column in found.items()}
    return consistency(frames, {name: column[rows] for name, column in known.items()})


def _by_attributes(scene, put, frames, read, prefix="", words="", floor=None):
    """Adds what the attributes of walks say; returns the frames' redrawings, or None."""
    count, steps, *_ = frames.shape
    analysis = _read(scene, frames, "Reading cross-fades" if prefix else "Reading walks")
    found, floors = _consistency(scene, analysis), floor or Consistency(None, None, 0, 0)
    what = f"{words}share of {found.alike} attributes alike in both images that stay throughout"
    put(f"{prefix}stays", found.stays, floors.stays, "", "higher", what)
    what = f"{words}share of {found.differing} attributes that differ between them which switch exactly once"
    put(f"{prefix}switches_once", found.switches_once, floors.switches_once, "", "higher", what)
    if analysis.redrawings is None:
        return None
    psnrs = middles(redrawing.psnrs(_flat(frames), analysis).reshape(count, steps))
    true = redrawing.psnrs(scene.test.images, read.test)
    what = f"{words}PSNR of middle frames to their redrawings, median"
    put(f"{prefix}redrawing_psnr", np.median(psnrs), np.median(true), "dB", "higher", what)
    for least in (20, 25):
        shares = [(one >= least).mean() for one in (psnrs, true)]
        put(f"{prefix}redrawing_over_{least}", *shares, "", "higher", f"{words}share of middle frames over {least} dB")
    return analysis.redrawings.reshape(frames.shape)
