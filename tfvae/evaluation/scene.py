"""What all parts of an evaluation look at: an export, its held-out images, and what was read from them."""

from typing import NamedTuple

import numpy as np

from tfvae import serving
from tfvae.evaluation import coverage
from tfvae.evaluation.progress import progress_bar


class Held(NamedTuple):
    """What is known of held-out images: of the test split, or, for the floors, of the own validation split."""

    images: np.ndarray  # [N, H, W, C] float32 in [0, 1]
    posterior: serving.Posterior
    reconstructions: np.ndarray  # [N, H, W, C]
    attributes: dict  # {attribute: [N]}; {} where the data has none
    visible: dict


class Scene(NamedTuple):
    """What all parts look at."""

    served: serving.Served
    settings: object  # config.EvaluateConfig
    data: object  # data.Data whose test split is measured.
    own: object  # data.Data that the export was trained on, often `data`; None where they are gone.
    test: Held
    other: Held | None  # The validation split of `own`.
    analyst: object  # analyst.Analyst, or None; one needs `own`.
    results: object  # results.Results


class Read(NamedTuple):
    """Analyses of held-out images, by which samples are judged."""

    test: object  # synthesis.Analysis
    other: object
    reconstructions: object
    test_features: np.ndarray  # [N, F]
    other_features: np.ndarray


def with_floor(measure, test, other):
    """Returns `measure(test)` and its floor `measure(other)`, which is None where `other` is."""
    return measure(test), None if other is None else measure(other)


def hold(served, data, split, count):
    """Returns the `Held` of at most `count` images of a split, evenly over it."""
    numbers = data.spread(split, count)
    count = len(numbers)
    images = data.images(split, numbers) / np.float32(255)
    means, log_variances, reconstructions = [], [], []
    with progress_bar(count, f"Reconstructing {split} images") as bar:
        for start in range(0, count, 64):
            part = images[start : start + 64]
            posterior = served.encode(part)
            means.append(posterior.mean)
            log_variances.append(posterior.log_variance)
            reconstructions.append(served.decode(posterior.mean))
            bar.update(len(part))
    posterior = serving.Posterior(np.concatenate(means), np.concatenate(log_variances))
    attributes, visible = (coverage.take(columns[split], numbers) for columns in (data.attributes, data.visible))
    return Held(images, posterior, np.concatenate(reconstructions), attributes, visible)


def read_held(scene):
    """Reads held-out images and reconstructions, says how well, and returns a `Read`; None without attributes."""
    if scene.analyst is None:
        why = "the data has no attributes"
        if scene.test.attributes:
            why = "their reader is trained on the export's own data, which have others, are too few or are not there"
        scene.results.notes.append(
            f"Attributes, redrawing, walks by attributes and distances of features are left out: {why}."
        )
        return None
    analyst, test, other = scene.analyst, scene.test, scene.other
    read = Read(
        analyst.read(test.images, "Reading test images"),
        analyst.read(other.images, "Reading validation images"),
        analyst.read(other.reconstructions, "Reading reconstructions"),
        analyst.reader.features(test.images),
        analyst.reader.features(other.images),
    )
    means = {kind: float(np.nanmean(list(one.values()))) for kind, one in analyst.reader.accuracy.items()}
    found = analyst.accuracy(read.test, test.attributes, test.visible)
    rebuilt = analyst.accuracy(read.reconstructions, other.attributes, other.visible)
    how = " and analysis by synthesis" if analyst.style else ""
    note = (
        f"Attributes: the reader alone is right in {means['clean']:.1%} of those of clean test images and in "
        f"{means['degraded']:.1%} of those of degraded ones. What is used here, the reader{how}, is right in "
        f"{found:.2%} for test images and in {rebuilt:.2%} for reconstructions."
    )
    scene.results.notes.append(note)
    scene.results.details["reader_accuracy"] = analyst.reader.accuracy
    return read
