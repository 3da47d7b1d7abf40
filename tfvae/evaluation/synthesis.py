"""Analysis by synthesis: of which avatar is an image a picture? Candidates are drawn and compared with it.

From the reader's guess, one attribute at a time is changed, and then two that shape or colour one layer together; what
is better stays, until nothing is. What is better is asked twice. The attributes of an image are the most probable
ones, by the squared error and by the reader together: on the speckle of a bad sample the squared error alone sees
shadows of beards. The redrawing is the nearest avatar, by the squared error alone.

The search looks at stacks of layers (`layers`), corrected by the difference between true drawing and stack at the best
candidate so far; what it returns was drawn truly. `python -m tfvae.evaluation.synthesis` is the child process that
does it; it imports no TensorFlow.
"""

import base64
import functools
import itertools
import json
import math
import sys
from typing import NamedTuple

import numpy as np

from tfvae.data import artwork, children, preprocessing, styles, visibility
from tfvae.evaluation import layers

_CHUNK = 8  # Images that a process takes at once.
_ROUNDS = 10
_TRIALS, _ALIKE = 12, 36.0  # Stacks of layers serve where, of so many, the mean is as near to the avatar, in dB.
_VERIFIED = 2  # Of the candidates that differ in one attribute, drawn in full.
# Squared error a number of the image, in 255ths, by which a stack of layers may be wrong: much, so that in good images
# the smallest differences are found, and less, for speed, in those that are no nearer to an avatar than _NEAR.
_SLACK, _LESS_SLACK, _NEAR = 25.0, 4.0, 50.0
_LIKELY = 4  # Values of an attribute that are tried where stacks do not serve, for each has to be drawn in full.
# Pixels whose errors are as good as independent: errors of a decoder are alike in neighbours and channels.
_INDEPENDENT = 50.0
_LEAST_PROBABLE = 1e-3  # The reader is never surer than this.


class Analysis(NamedTuple):
    """What images are pictures of."""

    attributes: dict  # name -> [N] int64, index into the attribute's values.
    visible: dict  # name -> [N] bool: whether the attribute shows.
    redrawings: np.ndarray  # [N, H, W, C] uint8: the nearest avatars


def render(art, spec, indices):
    """Returns (the drawing, uint8 [H, W, C] as the data has it) of the avatar of attribute indices."""
    drawing = artwork.render(art, layers.size_of(spec), artwork.pins(art, indices))
    return drawing, preprocessing.prepare_pixels(artwork.pixels(drawing.png), spec)


class Searcher:
    """Finds the nearest avatars of one style.

    Args:
        style: The name of a style.
        spec: A `preprocessing.ImageSpec`.
    """

    def __init__(self, style, spec):
        self._art, self._spec = styles.load(style), spec
        self._counts = [len(attribute.values) for attribute in self._art.attributes]
        self._shows = visibility.Visibility(style, layers.size_of(spec))
        self._layers = layers.Layers(self._art, spec)
        self._render = functools.lru_cache(maxsize=2000)(self._render_anew)
        trials = [artwork.sample(self._art, number) for number in range(_TRIALS)]
        error = self._layers.calibrate([(one, self.draw(one)) for one in trials])
        self.has_layers = error <= 255**2 / 10 ** (_ALIKE / 10)

    def _render_anew(self, indices):
        return render(self._art, self._spec, indices)

    def draw(self, indices):
        """Returns the avatar of attribute indices as the data has it, uint8 [H, W, C]."""
        return self._render(indices)[1]

    def find(self, image, probabilities):
        """Finds the avatar of which an image is a picture.

        Args:
            image: [H, W, C] in 0 to 255.
            probabilities: For each attribute the probabilities of its values, by the reader.

        Returns:
            (the attribute indices of the most probable avatar, those of the nearest one).
        """
        image = np.float32(image)
        order = [np.argsort(-np.asarray(values), kind="stable").tolist() for values in probabilities]
        surprises = [-np.log(np.maximum(values, _LEAST_PROBABLE)) for values in probabilities]

        def improbability(error, indices):
            # -log p(image, attributes), in nats, the variance of Gaussian errors being what fits best.
            read = sum(float(values[index]) for values, index in zip(surprises, indices, strict=True))
            return 0.5 * _INDEPENDENT * math.log(max(error, 1.0)) + read

        start = tuple(values[0] for values in order)
        guesses = {}  # Both searches meet the same candidates.
        probable = self._descend(image, start, order, improbability, guesses)
        return probable, self._descend(image, probable, order, lambda error, indices: error, guesses)

    def _descend(self, image, best, order, cost, guesses):
        """Returns the indices from which no change lowers `cost(squared error, indices)`."""

        def error(other):
            return float(np.square(image - other).sum())

        exact = error(self.draw(best))
        least, pairs = cost(exact, best), False
        for _ in range(_ROUNDS):
            before = best
            for group in self._layers.together() if pairs else [(position,) for position in range(len(best))]:
                if exact == 0:
                    return best
                for changed in self._promising(best, group, least, error, order, cost, guesses):
                    found = error(self.draw(changed))
                    if cost(found, changed) < least:
                        best, exact, least = changed, found, cost(found, changed)
                        break
            if best == before and (pairs or not self.has_layers):
                break
            pairs = best == before
        return best

    def _promising(self, indices, group, least, error, order, cost, guesses):
        """Returns `indices` with other values of the attributes in `group`: those worth drawing, the best first."""
        others = []
        for values in itertools.product(*(order[at] if self.has_layers else order[at][:_LIKELY] for at in group)):
            changed = list(indices)
            for position, value in zip(group, values, strict=True):
                changed[position] = value
            if all(changed[position] != indices[position] for position in group):
                others.append(tuple(changed))
        if not self.has_layers:
            return others
        stack = self._layers.draw(indices)
        drawing = self.draw(indices)
        correction = drawing - stack  # Right for all that the change leaves as it is.
        slack = correction.size * (_SLACK if error(drawing) < _NEAR * correction.size else _LESS_SLACK)
        promising = []
        for other in others:
            if (indices, other) not in guesses:
                drawn = self._layers.draw(other)
                same = np.array_equal(drawn, stack)  # What was changed does not show.
                guesses[indices, other] = math.inf if same else error(drawn + correction)
            guess = guesses[indices, other]
            if guess < math.inf and cost(max(guess - slack, 0.0), other) < least:
                promising.append((cost(guess, other), other))
        return [other for _, other in sorted(promising)[:_VERIFIED]]

    def visible(self, indices):
        """Returns for each attribute whether it shows."""
        return [bool(mark) for mark in self._shows.marks(indices, self._render(indices)[0])]


def _work(style, spec):
    """Answers requests of images and likely values with what was found."""
    spec = preprocessing.ImageSpec(*json.loads(spec))
    searcher = Searcher(style, spec)

    def one(request):
        pixels, probabilities = request
        image = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(spec.shape)
        probable, nearest = searcher.find(image, probabilities)
        redrawing = base64.b64encode(searcher.draw(nearest).tobytes()).decode()
        return [[int(index) for index in probable], searcher.visible(probable), redrawing]

    children.serve(lambda requests: [one(request) for request in requests])


def analyse(images, probabilities, style, spec, progress=lambda number: None):
    """Finds the avatars that images are pictures of, on all cores.

    Args:
        images: [N, H, W, C], float in [0, 1] or uint8.
        probabilities: {attribute: [N, V]}: the reader's guess.
        style: The name of a style.
        spec: A `preprocessing.ImageSpec`.
        progress: Called with the number of images done since it was last called.

    Returns:
        An `Analysis`.
    """
    if images.dtype != np.uint8:
        images = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    names = [attribute.name for attribute in styles.load(style).attributes]
    rounded = [probabilities[name].round(6).tolist() for name in names]
    requests = [
        (base64.b64encode(image.tobytes()).decode(), [column[number] for column in rounded])
        for number, image in enumerate(images)
    ]
    chunks = [requests[start : start + _CHUNK] for start in range(0, len(requests), _CHUNK)]
    found = []
    for answers in children.ask("tfvae.evaluation.synthesis", (style, json.dumps(spec)), chunks):
        found += answers
        progress(len(answers))
    indices, visible, redrawn = zip(*found, strict=True)
    redrawn = np.stack([np.frombuffer(base64.b64decode(one), np.uint8).reshape(spec.shape) for one in redrawn])
    indices, visible = np.array(indices, np.int64), np.array(visible, bool)
    return Analysis(
        {name: indices[:, column] for column, name in enumerate(names)},
        {name: visible[:, column] for column, name in enumerate(names)},
        redrawn,
    )


if __name__ == "__main__":
    _work(*sys.argv[1:])
