"""What was found in the data and what becomes of it: a few lines before a training, and `data.json`."""

import collections
import os
from typing import NamedTuple

import numpy as np

from tfvae.data import decode, preprocessing
from tfvae.data import source as sources

_CUT = 0.1  # Mean share of an image that may be cut off without a word.
_DARK = 64  # Of 255: images that are nowhere brighter look black.
_SHOWN = 10  # Values of an attribute that are shown.


class Report(NamedTuple):
    """What a user should know of the data before an hour is spent on them."""

    data: str  # --data
    counts: dict  # split -> number of images
    formats: dict  # format -> number of images
    sizes: tuple  # (least width, least height, largest width, largest height) of the files
    aspects: tuple  # (least, median, largest) width over height of the files
    shape: tuple  # (H, W, C) of what the model sees
    levels: tuple  # (least, largest) value of what the model sees, 0 to 255
    labels: dict  # attribute -> {value: numbers of images, in the order of `counts`}
    found: tuple  # Lines: what was found.
    left_out: tuple  # Lines: what was left out, and why.
    advice: tuple  # Lines: what may be a mistake, and the setting that mends it.

    def lines(self):
        """Returns the report as lines of text."""
        total = sum(self.counts.values())
        formats = ", ".join(
            f"{name} {count:,}" for name, count in sorted(self.formats.items(), key=lambda one: -one[1])
        )
        left, low, right, high = self.sizes
        sizes = f"{left} x {low}" + (f" to {right} x {high}" if (left, low) != (right, high) else "")
        splits = ", ".join(f"{count:,} {split}" for split, count in self.counts.items() if count)
        height, width, channels = self.shape
        lines = [
            f"{self.data}: {counted(total, 'image')} ({formats}) of {sizes} pixels (width x height), "
            f"seen as {width} x {height} in {_COLOURS[channels]}, values {self.levels[0]} to {self.levels[1]}; {splits}"
        ]
        for name, values in self.labels.items():
            shown = ", ".join(f"{value} {sum(count):,}" for value, count in list(values.items())[:_SHOWN])
            lines.append(f"{name}: {counted(len(values), 'value')}, {shown}" + ", ..." * (len(values) > _SHOWN))
        lines += self.found
        lines += [f"left out: {line}" for line in self.left_out]
        return lines + [f"check: {line}" for line in self.advice]

    def as_dict(self):
        """Returns the report as JSON holds it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}


def counted(number, noun):
    """Returns "1 image" or "2 images"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


_COLOURS = {1: "grey", 3: "RGB", 4: "RGB with transparency"}


def problems_of(source, facts):
    """Returns (images that cannot be decoded, lines that say what else is left out), of files that were tried.

    What cannot be decoded counts as an image where its name ends as one.
    """
    damaged, endings, own = [], collections.Counter(), 0
    for index, problem in sorted(facts.problems.items()):
        name = source.names[index] if source.names else f"image {index}"
        if problem == "own":
            own += 1
        elif source.names and not decode.is_image_name(name) and (problem == "no image" or os.path.splitext(name)[1]):
            endings[os.path.splitext(name)[1].lower() or "no ending"] += 1
        else:
            damaged.append(name if problem == "no image" else f"{name} ({problem})")
    lines = []
    if endings:
        shown = ", ".join(f"{sources.one_line(ending)} {count:,}" for ending, count in endings.most_common(_SHOWN))
        more = f" and {len(endings) - _SHOWN} more endings" if len(endings) > _SHOWN else ""
        lines.append(f"{counted(sum(endings.values()), 'file')} that no image is in: {shown}{more}")
    if {".heic", ".heif"} & set(endings):
        lines.append("HEIC files are read once pillow-heif is installed (pip install pillow-heif)")
    if own:
        lines.append(f"{counted(own, 'picture')} that this program wrote")
    return damaged, lines


def _labels(labels, rows):
    """Returns {attribute: {value: numbers of images by split}} of the `source.Labels` of all images."""
    ends = np.cumsum([len(found) for found in rows.values()])[:-1]
    found = {}
    for name, column in labels.attributes.items():
        values = labels.values[name]
        counts = [np.bincount(part, minlength=len(values)).tolist() for part in np.split(column, ends)]
        found[name] = dict(zip(values, map(list, zip(*counts, strict=True)), strict=True))
    return found


def _advice(facts, used, spec):
    """Returns lines on what may be a mistake in the images `used`, an index into `facts`."""
    total, lines = len(used), []
    advice = ""
    if spec.values is not None or facts.values is not None:
        advice = "; look at --black and --white"
    elif spec.channels != 4 and "array" not in facts.formats:
        advice = "; where they are transparent, try --background=black or --channels=4"
    blank = int(facts.blank[used].sum())
    digests = facts.digests[used]
    if total > 1 and len(np.unique(digests)) == 1:
        lines.append(f"all {total:,} images are alike{' and of one colour' * bool(blank)}{advice}")
    elif blank:
        lines.append(f"{blank:,} of {total:,} images are of one colour{advice}")
    brightest = facts.levels[1]
    if brightest < _DARK and spec.values is None:
        # Of files of 8 bits it is known which value would do.
        is_known = spec.deep_values is None and "array" not in facts.formats
        white = f"={max(brightest, 1)} spreads them" if is_known else " and --black may spread them"
        lines.append(f"no image is brighter than {brightest} of 255; --white{white}")
    cut = preprocessing.cut_share(facts.sizes[used], spec).mean()
    if cut > _CUT:
        lines.append(f"--fit=crop cuts off {cut:.0%} of an image on average; --fit=pad keeps all of it")
    return lines


def make(settings, source, cached, rows, labels, lines, copies):
    """Returns the `Report`.

    Args:
        settings: A `config.DataConfig`.
        source: A `source.Source`.
        cached: A `cache.Cache`.
        rows: {split: indices in the source}.
        labels: The `source.Labels` of all of them, split after split.
        lines: What else was left out.
        copies: Training images that were left out because a held-out split has them too.
    """
    facts = cached.facts
    used = np.searchsorted(facts.rows, np.concatenate(list(rows.values())))
    sizes = facts.sizes[used]
    bounds = (*sizes.min(axis=0).tolist(), *sizes.max(axis=0).tolist())
    aspects = sizes[:, 0] / sizes[:, 1]
    found = list(source.found)
    if facts.values:
        black, white = (f"{value:,g}" for value in facts.values)
        found.append(
            f"values from {black} to {white}: {black} becomes black, {white} white; --black and --white say otherwise"
        )
    doubled = len(used) - len(np.unique(facts.digests[used]))
    if doubled:
        parts = np.split(facts.digests[used], np.cumsum([len(of_split) for of_split in rows.values()])[:-1])
        are_apart = sum(len(np.unique(part)) for part in parts) == len(used) - doubled
        where = "in one split" if are_apart else "in several splits, for official ones have them or few images differ"
        found.append(f"{counted(doubled, 'image')} exactly like another; such images are {where}")
    left_out = list(source.left_out) + lines
    if copies:
        left_out.append(f"{counted(copies, 'training image')} that a held-out split has too")
    return Report(
        data=settings.data,
        counts={split: len(of_split) for split, of_split in rows.items()},
        formats=facts.formats,
        sizes=bounds,
        aspects=(float(aspects.min()), float(np.median(aspects)), float(aspects.max())),
        shape=cached.spec.shape,
        levels=facts.levels,
        labels=_labels(labels, rows),
        found=tuple(found),
        left_out=tuple(left_out),
        advice=tuple(_advice(facts, used, cached.spec)),
    )
