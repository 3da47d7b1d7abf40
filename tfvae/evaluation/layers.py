"""An avatar from its layers, each drawn once: fifty times as fast as to redraw it, and almost the same picture.

A style's canvas is a list of elements that are painted one over the other. A component is a layer, and so is what
stands between two components. Nothing here imports TensorFlow.
"""

import json

import numpy as np
from dicebear.style import Style

from tfvae.data import artwork, preprocessing, styles


def size_of(spec):
    """Returns the height and width at which avatars are drawn for a `preprocessing.ImageSpec`."""
    return max(spec.height, spec.width)


def _prepared(rgba, spec):
    """Returns a drawing [S, S, 4] uint8 as float32 [H, W, 4] in 0 to 255: colours times alpha, and alpha."""
    if rgba.shape[:2] != (spec.height, spec.width):
        return preprocessing.prepare_pixels(rgba, spec._replace(channels=4)).astype(np.float32)
    pixels = rgba.astype(np.float32)  # Not rounded, as in `preprocessing.prepare`.
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels


class _Layer:
    """One layer, in all the states that were asked for.

    Args:
        art: A `styles.Artwork` of the layer alone.
        spec: A `preprocessing.ImageSpec`.
        base: The lowest layer, or None.
        joined: A `styles.Artwork` of the lowest layer and this one.
    """

    def __init__(self, art, spec, base=None, joined=None):
        self._art, self._spec, self._base, self._joined = art, spec, base, joined
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
        """Returns (positions of the attributes that it makes use of, [H, W, 4] as `_prepared` returns it)."""
        art = self._joined if self.blends else self._art
        drawing = artwork.render(art, size_of(self._spec), artwork.pins(art, indices))
        image = _prepared(artwork.pixels(drawing.png), self._spec)
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
        part = _part(image, max(3, self._spec.channels))
        return self._drawn.setdefault(used, {}).setdefault(tuple(indices[at] for at in used), part)

    def used(self):
        """Returns the positions of the attributes that it made use of, of those in which it was drawn."""
        return set().union(*self._drawn)


def _part(image, bands):
    """Returns (slices, [h, w, bands], 1 - alpha [h, w, 1]) of what is painted of [H, W, 4]; None for nothing."""
    rows, columns = (np.flatnonzero(image[..., 3].any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    where = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return where, image[where][..., :bands], 1 - image[where][..., 3:] / 255


class Layers:
    """The avatars of one style as stacks of layers.

    Args:
        art: A `styles.Artwork`.
        spec: A `preprocessing.ImageSpec`.
    """

    def __init__(self, art, spec):
        self._spec = spec
        below = (0, 0, 0, 0) if spec.channels == 4 else spec.background
        self._blank = np.broadcast_to(np.float32(below), (spec.height, spec.width, len(below)))
        whole = json.loads(styles.definition(art.name))

        def of(elements):
            definition = {**whole, "canvas": {**whole["canvas"], "elements": elements}}
            return art._replace(style=Style.from_json(json.dumps(definition)))

        lowest, *others = _runs(whole["canvas"]["elements"])
        base = _Layer(of(lowest), spec)
        self._layers = [base, *(_Layer(of(run), spec, base, of([*lowest, *run])) for run in others)]

    def calibrate(self, avatars):
        """Finds out which layers blend with the lowest one.

        Args:
            avatars: Pairs of attribute indices and the true drawing, [H, W, C] in 0 to 255.

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
        """Returns the avatar of attribute indices, float32 [H, W, C] in 0 to 255."""
        image = self._blank.copy()
        for layer in self._layers:
            part = layer.part(indices)
            if part:
                where, colours, through = part
                image[where] = colours + through * image[where]
        return (image @ preprocessing.LUMA)[..., np.newaxis] if self._spec.channels == 1 else image

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
