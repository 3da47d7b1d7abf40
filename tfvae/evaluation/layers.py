"""An avatar from its layers, each drawn once: fifty times as fast as to redraw it, and almost the same picture.

A style's canvas is a list of elements that are painted one over the other. A component is a layer, and so is what
stands between two components. Nothing here imports TensorFlow.
"""

import json

import numpy as np
from dicebear.style import Style

from tfvae.data import artwork, styles


class _Layer:
    """One layer, in all the states that were asked for.

    Args:
        art: A `styles.Artwork` of the layer alone.
        canvas: A `canvas.Canvas`.
        base: The lowest layer, or None.
        joined: A `styles.Artwork` of the lowest layer and this one.
    """

    def __init__(self, art, canvas, base=None, joined=None):
        self._art, self._canvas, self._base, self._joined = art, canvas, base, joined
        self._names = [attribute.name for attribute in art.attributes]
        self._drawn = {}  # Positions of the attributes that a drawing made use of -> their indices -> its part.
        self._blends = False

    @property
    def blends(self):
        """Whether it is drawn on the lowest layer: highlights that are blended with the skin need to be."""
        return self._blends

    @blends.setter
    def blends(self, value):
        self._blends, self._drawn = value and self._base is not None, {}

    def image(self, indices):
        """Returns (positions of the attributes that it makes use of, [H, W, 4] as `Canvas.bring` returns it)."""
        art = self._joined if self.blends else self._art
        drawing = artwork.render(art, self._canvas.size, artwork.pins(art, indices))
        image = self._canvas.bring(artwork.pixels(drawing.png))
        if self.blends:
            same = (image == self._base.image(indices)[1]).all(axis=-1)
            image[same] = 0
        return tuple(position for position, name in enumerate(self._names) if name in drawing.accessed), image

    def part(self, indices):
        """Returns what it paints, see `_part`."""
        for used, states in self._drawn.items():
            state = tuple(indices[position] for position in used)
            if state in states:
                return states[state]
        used, image = self.image(indices)
        return self._drawn.setdefault(used, {}).setdefault(tuple(indices[at] for at in used), _part(image))

    def used(self):
        """Returns the positions of the attributes that it made use of, of those in which it was drawn."""
        return set().union(*self._drawn)


def _part(image):
    """Returns (slices, colours [h, w, 3], 1 - alpha [h, w, 1]) of what is painted of [H, W, 4]; None for nothing."""
    rows, columns = (np.flatnonzero(image[..., 3].any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    where = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return where, image[where][..., :3], 1 - image[where][..., 3:]


class Layers:
    """The avatars of one style as stacks of layers.

    Args:
        art: A `styles.Artwork`.
        canvas: A `canvas.Canvas`.
    """

    def __init__(self, art, canvas):
        self._blank = canvas.blank()
        whole = json.loads(styles.definition(art.name))

        def of(elements):
            definition = {**whole, "canvas": {**whole["canvas"], "elements": elements}}
            return art._replace(style=Style.from_json(json.dumps(definition)))

        lowest, *others = _runs(whole["canvas"]["elements"])
        base = _Layer(of(lowest), canvas)
        self._layers = [base, *(_Layer(of(run), canvas, base, of([*lowest, *run])) for run in others)]

    def calibrate(self, avatars):
        """Finds out which layers blend with the lowest one.

        Args:
            avatars: Pairs of attribute indices and the true drawing, [H, W, 3] in 0 to 255.

        Returns:
            The mean over the avatars of the mean squared error of the stacks.
        """

        def error():
            return float(np.mean([np.mean((self.draw(indices) - image) ** 2) for indices, image in avatars]))

        least = error()
        for layer in self._layers[1:]:
            layer.blends = True
            now = error()
            if now < least:
                least = now
            else:
                layer.blends = False
        return least

    def draw(self, indices):
        """Returns the avatar of attribute indices, float32 [H, W, 3] in 0 to 255."""
        image = self._blank.copy()
        for layer in self._layers:
            part = layer.part(indices)
            if part:
                where, colours, through = part
                image[where] = colours + through * image[where]
        return image

    def together(self):
        """Returns the pairs of positions of attributes that shape or colour one layer together, as far as known."""
        base = self._layers[0].used()
        used = [base, *(layer.used() - (base if layer.blends else set()) for layer in self._layers[1:])]
        return sorted({(one, other) for names in used for one in names for other in names if one < other})


def _runs(elements):
    """Returns `elements` in parts: each component alone, and what stands between two components."""
    runs = []
    for element in elements:
        if element["type"] == "component" or not runs or runs[-1][-1]["type"] == "component":
            runs.append([])
        runs[-1].append(element)
    return runs
