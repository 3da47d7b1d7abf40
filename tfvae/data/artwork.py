"""Draws DiceBear avatars from attribute values, and draws attribute values at random.

An avatar is a function of its attributes alone: each is an index into `styles.Attribute.values`, named as DiceBear
names its options (`hair`, `hairColor`, `shapeRotate`). Nothing here imports TensorFlow.

Source: dicebear-core (the renderer), resvg (the rasteriser).
"""

import io
import random
from typing import NamedTuple

import numpy as np
from dicebear.options import Options
from dicebear.renderer import Renderer
from dicebear.resolver import Resolver
from PIL import Image
from resvg_py import svg_to_bytes

from tfvae import config
from tfvae.data import styles


class Drawing(NamedTuple):
    """An avatar as drawn."""

    png: bytes
    accessed: frozenset  # Names of the attributes that the drawing made use of.


class _PinnedResolver(Resolver):
    """Resolves what the renderer asks for from `pins` (name -> str or None), and notes what it asked for."""

    def __init__(self, style, pins):
        super().__init__(style, Options({"seed": "tfvae"}))
        self._pins = pins
        self.accessed = set()

    def variant(self, name):
        self.accessed.add(name)
        if name in self._pins:
            return self._pins[name]
        component = self._style.components().get(name)
        return next(iter(styles.drawn_variants(component))) if component else None

    def color(self, name):
        key = name + "Color"
        self.accessed.add(key)
        if key in self._pins:
            return [self._pins[key]]
        style_color = self._style.colors().get(name)
        # What is left: a palette of one colour, or the one that stands out most from the colour it refers to.
        return super().color(name) if style_color else []

    def component_transform(self, name):
        transform = {}
        for kind, neutral in (("Rotate", 0.0), ("TranslateX", 0.0), ("TranslateY", 0.0), ("Scale", 1.0)):
            self.accessed.add(name + kind)
            transform[kind[0].lower() + kind[1:]] = float(self._pins.get(name + kind, neutral))
        return transform


def pins(artwork, indices):
    """Returns {name: value} for attribute values given as indices, in the order of `artwork.attributes`."""
    values = {
        attribute.name: attribute.values[index] for attribute, index in zip(artwork.attributes, indices, strict=True)
    }
    return artwork.fixed | {name: None if value == "none" else value for name, value in values.items()}


def render(artwork, size, chosen):
    """Draws an avatar.

    Args:
        artwork: A `styles.Artwork`.
        size: Height and width in pixels.
        chosen: What `pins` returns, or changes of it: None hides a component.

    Returns:
        A `Drawing`.
    """
    resolver = _PinnedResolver(artwork.style, chosen)
    svg = Renderer(artwork.style, resolver).render()
    # Without system fonts, for text would look different on each machine.
    png = svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Drawing(bytes(png), frozenset(resolver.accessed))


def pixels(png):
    """Returns [S, S, 4] uint8 RGBA of PNG bytes."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def draw(style, size, attributes):
    """Redraws an avatar, exactly as the prepared data set has it.

    Args:
        style: The name of a style, such as "personas".
        size: Height and width in pixels.
        attributes: {name: index into the attribute's values}, all attributes of the style.

    Returns:
        [size, size, 4] uint8 RGBA; what the artwork leaves free is transparent.

    Raises:
        UserError: If the style is unknown, an attribute missing or unknown, or an index out of range.
    """
    artwork = styles.load(style)
    expected = {attribute.name: len(attribute.values) for attribute in artwork.attributes}
    if set(expected) != set(attributes):
        names = ", ".join(sorted(set(expected) ^ set(attributes)))
        raise config.UserError(f"avatars/{style}: expected the attributes {', '.join(expected)}; unmatched: {names}.")
    for name, count in expected.items():
        if not 0 <= int(attributes[name]) < count:
            raise config.UserError(f"avatars/{style}: expected {name} from 0 to {count - 1}, got {attributes[name]}.")
    indices = [int(attributes[attribute.name]) for attribute in artwork.attributes]
    return pixels(render(artwork, size, pins(artwork, indices)).png)


def _pick(weights, at):
    """Returns the first index at which the running sum of `weights` exceeds `at` of their sum."""
    left = at * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return max(index for index, weight in enumerate(weights) if weight)


def sample(artwork, number):
    """Returns the attribute indices of random avatar `number`: the same on each machine, whatever was drawn before."""
    stream = random.Random(f"tfvae avatars {artwork.name} {number}")
    picked = {}
    for attribute in artwork.attributes:
        taken = {picked.get(name) for name in attribute.avoids}
        free = [
            0.0 if value in taken else share for value, share in zip(attribute.values, attribute.weights, strict=True)
        ]
        index = _pick(free if any(free) else attribute.weights, stream.random())
        picked[attribute.name] = attribute.values[index]
    return tuple(attribute.values.index(picked[attribute.name]) for attribute in artwork.attributes)
