"""Samples of the model, and all that is measured on them."""

import numpy as np

from tfvae import serving
from tfvae.evaluation import coverage, features, redrawing, sharpness
from tfvae.evaluation.progress import progress_bar
from tfvae.evaluation.scene import with_floor

_AT_ONCE = 64


def title(std):
    """Returns the name of the group of numbers of samples at `std`."""
    return f"samples, std {std:g}"


def draw(scene, std):
    """Returns as many samples as the settings say, [N, H, W, C] in [0, 1]."""
    count, parts = scene.settings.sizes[0], []
    with progress_bar(count, f"Drawing samples at std {std:g}") as bar:
        for start in range(0, count, _AT_ONCE):
            seeds = serving.seeds(scene.settings.seed, start, min(start + _AT_ONCE, count))
            parts.append(scene.served.generate(seeds, std)[0])
            bar.update(len(seeds))
    return np.concatenate(parts)


def add(scene, std, images, read):
    """Adds what is measured on samples [N, H, W, C] at `std`; returns their `Analysis`, or None without attributes."""
    put = scene.results.into(title(std))
    real = None if scene.other is None else scene.other.images
    ratios = with_floor(lambda some: sharpness.ratio(some, scene.test.images), images, real)
    put("sharpness", *ratios, "", "1", "mean gradient magnitude over that of test images")
    if read is None:
        return None
    analysis = scene.analyst.read(images, f"Reading samples at std {std:g}")
    if analysis.redrawings is not None:
        redrawing.add(scene, put, images, analysis, read)
    scene.results.details[f"coverage, {title(std)}"] = coverage.add(scene, put, analysis, read)
    features.add(scene, put, images, read)
    return analysis
