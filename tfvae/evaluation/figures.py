"""The pictures of an evaluation: what is in the numbers, to look at."""

import io
import math
import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from tfvae import pictures
from tfvae.evaluation import coverage, reconstruction, walks

_RECONSTRUCTIONS, _COLUMNS, _SHOWN = 15, 10, 60
NOT_ALWAYS = ("attributes", "samples_redrawn", "walks_redrawn", "nearest")  # Those that not all data allow.


class Figure(NamedTuple):
    """One picture."""

    name: str  # Of its file, without ".png".
    caption: str
    png: bytes


def _png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def draw(scene, errors, drawn, analysis, distances, nearest, walked, redrawn):
    """Returns the list of `Figure`.

    Args:
        scene: A `scene.Scene`.
        errors: [N] mean squared errors of the reconstructions of test images.
        drawn: [M, H, W, C] samples.
        analysis: Their `Analysis`, or None.
        distances, nearest: [M] distances to their nearest training images, and the numbers of these; or None.
        walked: [W, S, H, W, C] walks.
        redrawn: Their redrawings, or None.
    """
    test, std = scene.test, scene.settings.std
    order = np.argsort(errors)

    def both(rows, columns=_COLUMNS):
        return pictures.rows([test.images[rows], test.reconstructions[rows]], columns)

    def db(row):
        return f"{reconstruction.psnr(errors[row]):.1f} dB"

    evenly = np.linspace(0, len(order), min(_RECONSTRUCTIONS, len(order)), endpoint=False).astype(int)
    ends = [some[0] for some in walks.pairs(len(order), 1)]
    found = [
        Figure("reconstructions", "Test images above their reconstructions.", _png(both(evenly, 8))),
        Figure("ends", "Two test images.", _png(pictures.rows([test.images[ends]]))),
        Figure("walk", "The walk between them.", _png(pictures.rows([walked[0]]))),
        Figure("samples", f"New images, std {std:g}.", _png(pictures.grid(drawn[:_SHOWN], _COLUMNS))),
    ]
    few = walked[: min(3, len(walked))]
    if redrawn is not None:
        lines = [line for one, other in zip(few, redrawn, strict=False) for line in (one, other / np.float32(255))]
        words = "Walks, each above its redrawing: of each frame the nearest avatar, by the true renderer."
        found.append(Figure("walks_redrawn", words, _png(pictures.rows(lines))))
        some = analysis.redrawings[:_COLUMNS] / np.float32(255)
        words = "Samples above their redrawings: of each the nearest avatar, by the true renderer."
        found.append(Figure("samples_redrawn", words, _png(pictures.rows([drawn[:_COLUMNS], some]))))
    if analysis is not None:
        words = "Shares of each attribute's values: test images and samples."
        found.append(Figure("attributes", words, histograms(scene, analysis)))
    count = min(_COLUMNS, len(order))
    worst, best = order[::-1][:count], order[:count]
    found += [
        Figure("worst", f"The worst reconstructions, from {db(worst[0])}.", _png(both(worst))),
        Figure("best", f"The best reconstructions, from {db(best[0])}.", _png(both(best))),
    ]
    if nearest is not None:
        closest = np.argsort(distances)[:_COLUMNS]
        training = scene.own.images("train", nearest[closest]) / np.float32(255)
        words = "The samples nearest to a training image, above that image: copies would be seen here."
        found.append(Figure("nearest", words, _png(pictures.rows([drawn[closest], training]))))
    return found


def histograms(scene, analysis):
    """Returns a PNG: for each attribute the shares of its values among test images and among samples."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    values = scene.analyst.values
    known = coverage.shares(scene.test.attributes, scene.test.visible, values)
    found = coverage.shares(analysis.attributes, analysis.visible, values)
    columns = 2
    lines = math.ceil(len(values) / columns)
    drawing = Drawing(figsize=(11, 2.3 * lines), dpi=110, layout="constrained")
    FigureCanvasAgg(drawing)
    for number, (name, names) in enumerate(values.items()):
        axes = drawing.add_subplot(lines, columns, number + 1)
        at = np.arange(len(names))
        axes.bar(at - 0.2, known[name], 0.4, color="#9aa5b1", label="test images")
        axes.bar(at + 0.2, found[name], 0.4, color="#d94801", label="samples")
        distance = coverage.total_variation(known[name], found[name])
        axes.set_title(f"{name}: total variation {distance:.3f}", loc="left", fontsize=10)
        wide = max(map(len, names)) * len(names) > 60
        axes.set_xticks(at, names, rotation=60 if wide else 0, ha="right" if wide else "center",
                        fontsize=7 if len(names) <= 25 else 4)  # fmt: skip
        axes.tick_params(axis="y", labelsize=7)
        axes.set_xlim(-0.6, len(names) - 0.4)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if number == 0:
            drawing.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png")
    return buffer.getvalue()


def curve_path(settings, served):
    """Returns where the run of the export's name leaves its learning curve."""
    return pathlib.Path(settings.runs_dir).expanduser() / served.path.parent.name / "learning_curve.png"


def learning_curve(settings, served):
    """Returns the learning curve that the run of the same name left, a `Figure`, or None where there is none."""
    path = curve_path(settings, served)
    if not path.is_file():
        return None
    return Figure("learning_curve", "The loss of each batch.", path.read_bytes())
