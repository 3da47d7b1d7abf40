"""Analysis by synthesis: of which avatar is an image a picture? Candidates are drawn, and the nearest one is it.

From the reader's guess, one attribute at a time is changed, and then two that shape or colour one layer together; what
lowers the squared error stays, until nothing does. The search looks at stacks of layers (`layers`), corrected by the
difference between true drawing and stack at the best candidate so far; what it returns is a true drawing.

`python -m tfvae.evaluation.synthesis` is the child process that does it; it imports no TensorFlow.
"""

import base64
import functools
import itertools
import json
import sys
from typing import NamedTuple

import numpy as np

from tfvae.data import artwork, children, styles, visibility
from tfvae.evaluation import layers
from tfvae.evaluation.canvas import Canvas

_CHUNK = 8  # Images that a process takes at once.
_ROUNDS = 10
_VERIFIED = 2  # Of a group's candidates, drawn in full.
_SLACK = 25.0  # Squared error a number of the image, in 255ths: as much as a stack of layers may be wrong by.
_TRIALS, _ALIKE = 12, 36.0  # Stacks of layers serve where, of so many, the median is as near to the avatar, in dB.
_LIKELY = 4  # Values of an attribute that are tried where they do not, for each has to be drawn in full.


class Analysis(NamedTuple):
    """The avatars that images are pictures of."""

    attributes: dict  # name -> [N] int64, index into the attribute's values.
    visible: dict  # name -> [N] bool: whether the attribute shows.
    redrawings: np.ndarray  # [N, H, W, C] uint8


class Searcher:
    """Finds the nearest avatars of one style.

    Args:
        style: The name of a style.
        canvas: A `canvas.Canvas`.
    """

    def __init__(self, style, canvas):
        self._art, self._canvas = styles.load(style), canvas
        self._counts = [len(attribute.values) for attribute in self._art.attributes]
        self._shows = visibility.Visibility(style, canvas.size)
        self._layers = layers.Layers(self._art, canvas)
        self._render = functools.lru_cache(maxsize=2000)(self._render_anew)
        trials = [artwork.sample(self._art, number) for number in range(_TRIALS)]
        error = self._layers.calibrate([(one, self._draw_coloured(one)) for one in trials])
        self.has_layers = error <= 255**2 / 10 ** (_ALIKE / 10)

    def _render_anew(self, indices):
        drawing = artwork.render(self._art, self._canvas.size, artwork.pins(self._art, indices))
        return drawing, self._canvas.finished(self._canvas.bring(artwork.pixels(drawing.png)))

    def draw(self, indices):
        """Returns the avatar of attribute indices as the data has it, uint8 [H, W, C]."""
        return self._render(indices)[1]

    def _draw_coloured(self, indices):
        drawing, _ = self._render(indices)
        return self._canvas._replace(channels=3).finished(self._canvas.bring(artwork.pixels(drawing.png)))

    def _draw(self, indices):
        return self._canvas.channelled(self._layers.draw(indices))

    def find(self, image, likely):
        """Returns the indices of the nearest avatar that was found.

        Args:
            image: [H, W, C] in 0 to 255.
            likely: For each attribute its values, the most probable one first.
        """
        image = np.float32(image)

        def error(other):
            return float(np.square(image - other).sum())

        best = tuple(values[0] for values in likely)
        least = error(self.draw(best))
        pairs = False
        for _ in range(_ROUNDS):
            before = best
            for group in self._groups(best, pairs):
                if least == 0:
                    return best
                for changed in self._promising(best, group, least, error, likely):
                    if (now := error(self.draw(changed))) < least:
                        best, least = changed, now
                        break
            if best == before and (pairs or not self.has_layers):
                break
            pairs = best == before
        return best

    def _groups(self, indices, pairs):
        return self._layers.together() if pairs else [(position,) for position in range(len(indices))]

    def _promising(self, indices, group, least, error, likely):
        """Returns `indices` with other values of the attributes in `group`: those worth drawing, the best first."""
        values = [range(self._counts[one]) if self.has_layers else likely[one][:_LIKELY] for one in group]
        others = []
        for chosen in itertools.product(*values):
            changed = list(indices)
            for position, value in zip(group, chosen, strict=True):
                changed[position] = value
            others.append(tuple(changed))
        others = [other for other in others if other != indices]
        if not self.has_layers:
            return others
        # Right for all that the change leaves as it is.
        stack = self._draw(indices)
        correction = self.draw(indices) - stack
        guesses = []
        for other in others:
            drawn = self._draw(other)
            if not np.array_equal(drawn, stack):  # Else what was changed does not show.
                guesses.append((error(drawn + correction), other))
        near = least + _SLACK * correction.size
        return [other for guess, other in sorted(guesses)[:_VERIFIED] if guess < near]

    def visible(self, indices):
        """Returns for each attribute whether it shows."""
        return [bool(mark) for mark in self._shows.marks(indices, self._render(indices)[0])]


def _work(style, *canvas):
    """Answers requests of images and likely values with what was found."""
    height, width, channels, fit, background = canvas
    canvas = Canvas(int(height), int(width), int(channels), fit, tuple(json.loads(background)))
    searcher = Searcher(style, canvas)

    def one(request):
        pixels, likely = request
        image = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(*canvas[:3])
        indices = searcher.find(image, likely)
        redrawing = base64.b64encode(searcher.draw(indices).tobytes()).decode()
        return [[int(index) for index in indices], searcher.visible(indices), redrawing]

    children.serve(lambda requests: [one(request) for request in requests])


def analyse(images, probabilities, style, canvas, progress=lambda number: None):
    """Finds the avatars that images are pictures of, on all cores.

    Args:
        images: [N, H, W, C], float in [0, 1] or uint8.
        probabilities: {attribute: [N, V]}: the reader's guess.
        style: The name of a style.
        canvas: A `canvas.Canvas`.
        progress: Called with the number of images done since it was last called.

    Returns:
        An `Analysis`.
    """
    if images.dtype != np.uint8:
        images = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    names = [attribute.name for attribute in styles.load(style).attributes]
    order = {name: np.argsort(-probabilities[name], axis=1, kind="stable").tolist() for name in names}
    requests = [
        (base64.b64encode(image.tobytes()).decode(), [order[name][number] for name in names])
        for number, image in enumerate(images)
    ]
    chunks = [requests[start : start + _CHUNK] for start in range(0, len(requests), _CHUNK)]
    arguments = (style, *canvas[:4], json.dumps([int(part) for part in canvas.background]))
    found = []
    for answers in children.ask("tfvae.evaluation.synthesis", arguments, chunks):
        found += answers
        progress(len(answers))
    indices, visible, redrawn = zip(*found, strict=True)
    redrawn = np.stack([np.frombuffer(base64.b64decode(one), np.uint8).reshape(canvas[:3]) for one in redrawn])
    indices, visible = np.array(indices, np.int64), np.array(visible, bool)
    return Analysis(
        {name: indices[:, column] for column, name in enumerate(names)},
        {name: visible[:, column] for column, name in enumerate(names)},
        redrawn,
    )


if __name__ == "__main__":
    _work(*sys.argv[1:])
