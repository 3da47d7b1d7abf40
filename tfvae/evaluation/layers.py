"""An avatar from its layers, each drawn once: a hundred times as fast as to redraw it, and almost the same picture.

A style's canvas is a list of elements that are painted one over the other. A component is a layer, and so is what
stands between two components. Nothing here imports TensorFlow.
"""

import json

import numpy as np
from dicebear.style import Style

from tfvae.data import artwork, styles

_SAME = 38.0  # dB: a stack of layers that is so near to the avatars serves to search among them.
_TRIALS = 6  # Avatars by which this is found out.


def over(background, premultiplied):
    """Returns [H, W, 3] in 0 to 255: an RGBA image [H, W, 4], colours times alpha, painted on `background`."""
    return premultiplied[..., :3] + background * (1 - premultiplied[..., 3:])


def premultiplied(rgba):
    """Returns float32 [H, W, 4] of uint8 RGBA: colours in 0 to 255 times alpha in [0, 1], and alpha."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.concatenate([rgba[..., :3] * alpha, alpha], axis=-1)


class _Layer:
    """One layer in all the states that were asked for."""

    def __init__(self, art, style, size, fit):
        self._art, self._size, self._fit = art._replace(style=style), size, fit
        self._names = [attribute.name for attribute in art.attributes]
        self._drawn = {}  # Positions of the attributes that a drawing made use of -> their indices -> the drawing.

    def uses(self, indices):
        """Returns the positions of the attributes that the layer of these attribute indices makes use of."""
        return self._find(indices)[0]

    def draw(self, indices):
        """Returns (slices, colours [h, w, 3], 1 - alpha [h, w, 1]) of the part where something is, or None."""
        return self._find(indices)[1]

    def _find(self, indices):
        for used, states in self._drawn.items():
            state = tuple(indices[position] for position in used)
            if state in states:
                return used, states[state]
        drawing = artwork.render(self._art, self._size, artwork.pins(self._art, indices))
        used = tuple(position for position, name in enumerate(self._names) if name in drawing.accessed)
        part = self._part(self._fit(premultiplied(artwork.pixels(drawing.png))))
        self._drawn.setdefault(used, {})[tuple(indices[position] for position in used)] = part
        return used, part

    @staticmethod
    def _part(image):
        rows, columns = (np.flatnonzero(image[..., 3].any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        where = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return where, image[where][..., :3], 1 - image[where][..., 3:]


class Layers:
    """The avatars of one style.

    Args:
        art: A `styles.Artwork`.
        size: Height and width in pixels at which avatars are drawn.
        fit: Brings a drawing [size, size, 4], premultiplied, to the images' size [H, W, 4].
        background: (red, green, blue), 0 to 255.
    """

    def __init__(self, art, size, fit, background):
        self._art, self._background = art, np.float32(background)
        self.layers = [_Layer(art, style, size, fit) for style in _parts(art.name)]
        self._blank = None

    def draw(self, indices):
        """Returns an avatar, [H, W, 3] float32 in 0 to 255, of its attribute indices."""
        if self._blank is None:
            height, width = self.layers[0]._fit(np.zeros([1, 1, 4], np.float32)).shape[:2]
            self._blank = np.broadcast_to(self._background, (height, width, 3))
        image = self._blank.copy()
        for layer in self.layers:
            part = layer.draw(indices)
            if part:
                where, colours, through = part
                image[where] = colours + through * image[where]
        return image

    def groups(self, indices):
        """Returns pairs of positions of attributes that colour or shape one layer together."""
        pairs = set()
        for layer in self.layers:
            used = layer.uses(indices)
            pairs |= {(one, other) for one in used for other in used if one < other}
        return sorted(pairs)


def _parts(name):
    """Returns a style for each layer of the style `name`, the lowest first."""
    whole = json.loads(styles.definition(name))
    runs = []
    for element in whole["canvas"]["elements"]:
        if element["type"] == "component" or not runs or runs[-1][-1]["type"] == "component":
            runs.append([])
        runs[-1].append(element)
    return [Style.from_json(json.dumps({**whole, "canvas": {**whole["canvas"], "elements": run}})) for run in runs]
