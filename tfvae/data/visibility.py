"""Which attributes of an avatar show: those of which a change changes a pixel.

The honest test redraws an avatar once for each other value of each attribute, which would take ten times as long as the
avatars themselves. Most attributes need no redrawing: each component is drawn alone, once for all avatars, and where an
attribute changes a pixel that no other component of the avatar touches, it shows. Only the rest is redrawn.
"""

import functools
import math

import numpy as np

from tfvae.data import artwork, styles

_MOST_STATES = 2000  # A component with more is not drawn alone in all of them; its avatars are redrawn instead.


def _family(style, name):
    """Returns the names of the component `name` and of those that its variants draw inside themselves."""
    family = {name}
    component = style.components().get(name)
    for variant in component.variants().values() if component else ():
        for inner in styles.components(variant.elements()):
            if inner not in family:
                family |= _family(style, inner)
    return family


class Visibility:
    """Tells which attributes of the avatars of one style and size show."""

    def __init__(self, style, size):
        self._art = styles.load(style)
        self._size = size
        self._position = {attribute.name: k for k, attribute in enumerate(self._art.attributes)}
        self._values = {attribute.name: attribute.values for attribute in self._art.attributes}
        self._top = tuple(dict.fromkeys(styles.components(self._art.style.canvas().elements())))
        kinds = ("", "Rotate", "Scale", "TranslateX", "TranslateY")
        names = {top: {one + kind for one in _family(self._art.style, top) for kind in kinds} for top in self._top}
        self._members = {top: tuple(name for name in self._position if name in names[top]) for top in self._top}
        counts = {top: math.prod(len(self._values[name]) for name in self._members[top]) for top in self._top}
        self._rich = {top for top in self._top if counts[top] > _MOST_STATES}
        self._colors = tuple(name for name in self._position if not any(name in group for group in names.values()))
        self._alone = functools.lru_cache(maxsize=20_000)(self._draw_alone)
        self._touched = functools.lru_cache(maxsize=20_000)(self._find_touched)
        self._changing = functools.lru_cache(maxsize=20_000)(self._find_changing)

    def _draw_alone(self, top, state, context, color):
        """Returns (pixels [S * S] uint32, accessed names) of one component without the others.

        Args:
            top: Name of the component, or None for the canvas alone.
            state: ((attribute, value), ...) of the component and what it holds.
            context: 0 or 1: which of two palettes colours everything.
            color: (attribute, index) that differs from the palette, or None.
        """
        pins = self._art.fixed | {other: None for other in self._top if other != top}
        for name in self._colors:
            pins[name] = self._values[name][0 if context == 0 else -1]
        if color:
            pins[color[0]] = self._values[color[0]][color[1]]
        pins.update((name, None if value == "none" else value) for name, value in state)
        drawing = artwork.render(self._art, self._size, pins)
        return self._flat(drawing.png), drawing.accessed

    def _flat(self, png):
        return np.ascontiguousarray(artwork.pixels(png)).view(np.uint32).ravel()

    def _find_touched(self, top, state):
        """Returns [S * S] bool: the pixels that the component changes where nothing else is, in either palette."""
        if top in self._rich:
            return np.ones(self._size**2, bool)
        touched = [self._alone(top, state, k, None)[0] != self._alone(None, (), k, None)[0] for k in (0, 1)]
        return touched[0] | touched[1]

    def _find_changing(self, name, top, state):
        """Returns [S * S] bool: the pixels that depend on the attribute `name` in both palettes, nothing else there."""
        both = []
        for context in (0, 1):
            if name in self._colors:
                if name not in self._alone(top, state, context, None)[1]:
                    return None
                images = [self._alone(top, state, context, (name, index))[0] for index in (0, 1)]
            else:
                others = [
                    tuple((key, value if key == name else old) for key, old in state) for value in self._values[name]
                ]
                images = [self._alone(top, other, context, None)[0] for other in others]
            both.append(np.any([image != images[0] for image in images[1:]], axis=0))
        return both[0] & both[1]

    def _shows_alone(self, name, states, touched):
        """Whether the attribute changes a pixel that no other component touches."""
        for top in states.keys() - self._rich:
            state = states[top]
            if name in self._colors or name in self._members.get(top, ()):
                changing = self._changing(name, top, state)
                covered = [touched[other] for other in touched if other != top]
                if changing is not None and np.any(changing & ~np.any(covered, axis=0) if covered else changing):
                    return True
        return False

    def _shows_redrawn(self, name, indices, image):
        """Whether any other value of the attribute gives another picture."""
        position = self._position[name]
        for index in range(len(self._values[name])):
            changed = (*indices[:position], index, *indices[position + 1 :])
            if index != indices[position]:
                drawing = artwork.render(self._art, self._size, artwork.pins(self._art, changed))
                if np.any(self._flat(drawing.png) != image):
                    return True
        return False

    def marks(self, indices, drawing):
        """Returns a tuple of bool: which attributes show in the avatar `indices`, drawn as `drawing`."""
        values = {name: self._values[name][index] for name, index in zip(self._position, indices, strict=True)}
        states = {top: tuple((name, values[name]) for name in self._members[top]) for top in self._top}
        touched = {top: self._touched(top, state) for top, state in states.items()}
        states[None] = ()
        image = self._flat(drawing.png)
        return tuple(
            name in drawing.accessed
            and (self._shows_alone(name, states, touched) or self._shows_redrawn(name, indices, image))
            for name in self._position
        )

    def marks_by_redrawing(self, indices, drawing):
        """As `marks`, by redrawing everything: the definition, slowly."""
        image = self._flat(drawing.png)
        return tuple(self._shows_redrawn(name, indices, image) for name in self._position)
