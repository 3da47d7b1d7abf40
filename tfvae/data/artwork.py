"""Draws DiceBear avatars from attribute values, and draws attribute values at random.

An avatar is a function of its attributes alone: each is an index into `Attribute.values`, named as DiceBear names its
options (`hair`, `hairColor`, `shapeRotate`). Nothing here imports TensorFlow, so that drawing processes start at once.

Source: dicebear-core (the renderer), dicebear-styles (the artwork), resvg (the rasteriser).
"""

import functools
import io
import random
from importlib import metadata, resources
from typing import NamedTuple

import numpy as np
from dicebear.options import Options
from dicebear.renderer import Renderer
from dicebear.resolver import Resolver
from dicebear.style import Style
from dicebear.utils.color import Color
from PIL import Image
from resvg_py import svg_to_bytes

from tfvae import config

RARE_SHARE = 0.05
_TURNS = 8  # Values that a free rotation by any angle is held to.
_LEVELS = 5  # Values that any other continuous transform is held to.
_MOST_STEPS = 36  # A transform in finer steps than these counts as continuous.


class Attribute(NamedTuple):
    """What one avatar can have otherwise than another."""

    name: str
    values: tuple  # Of str: a variant ("none" where the component may be absent), a colour, or a number.
    weights: tuple  # Of float: the share of each value; they sum to 1.
    avoids: tuple = ()  # Names of attributes whose colour this colour must differ from.


class Artwork(NamedTuple):
    """A DiceBear style, ready to be drawn."""

    name: str
    style: Style
    attributes: tuple  # Of Attribute.
    rare: tuple  # (attribute, value) that is made rare on purpose, or ().


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
        return next(iter(component.variants())) if component else None

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


def style_names():
    """Returns the names of the styles that dicebear-styles ships, sorted."""
    files = resources.files("dicebear_styles").iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def artwork_version():
    """Returns the version of the artwork: other artwork draws other avatars from the same attributes."""
    return metadata.version("dicebear-styles")


def _shares(weights):
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def _variants(name, component):
    weights = {variant: view.weight() for variant, view in component.variants().items()}
    if any(weights.values()):  # A weight of 0 marks what is drawn on request only.
        weights = {variant: weight for variant, weight in weights.items() if weight}
    shares = _shares([1] * len(weights) if not any(weights.values()) else list(weights.values()))
    present = component.probability() / 100
    if present >= 1:
        return Attribute(name, tuple(weights), shares)
    return Attribute(name, ("none", *weights), (1 - present, *(present * share for share in shares)))


def _levels(bounds):
    """Returns the numbers that a transform's {'min', 'max'[, 'step']} is held to, as str."""
    low, high = bounds["min"], bounds["max"]
    step = bounds.get("step")
    if not step or (high - low) / step > _MOST_STEPS:
        step = (high - low) / _TURNS if high - low == 360 else (high - low) / (_LEVELS - 1)
    count = round((high - low) / step) + 1 if step else 1
    values = [low + step * k for k in range(count)]
    values = [value for value in values if value - low < 360]
    return tuple(f"{value:g}" for value in values)


def _transforms(name, component):
    shift = component.translate()
    ranges = {
        "Rotate": component.rotate(),
        "Scale": component.scale(),
        "TranslateX": shift.x(),
        "TranslateY": shift.y(),
    }
    for kind, bounds in ranges.items():
        if bounds:
            values = _levels(bounds)
            yield Attribute(name + kind, values, _shares([1] * len(values)))


def _all_attributes(style):
    for name, component in style.components().items():
        yield _variants(name, component)
        yield from _transforms(name, component)
    for name, color in style.colors().items():
        if color.contrast_to() is None:
            values = tuple(dict.fromkeys(Color.to_hex(value) for value in color.values()))
            avoids = tuple(other + "Color" for other in color.not_equal_to())
            yield Attribute(name + "Color", values, _shares([1] * len(values)), avoids)


def _rare(attributes):
    """Returns (attribute, value): sunglasses, else the last value of the eyes, mouth, hair, or first rich attribute."""
    by_name = {attribute.name: attribute for attribute in attributes}
    for name in ("eyes", "mouth", "hair", *by_name):
        if len(by_name.get(name, Attribute("", (), ())).values) >= 3:
            values = by_name[name].values
            return name, "sunglasses" if "sunglasses" in values else values[-1]
    return ()


def _made_rare(attribute, value):
    index = attribute.values.index(value)
    rest = 1 - attribute.weights[index]
    shares = [weight * (1 - RARE_SHARE) / rest for weight in attribute.weights]
    shares[index] = RARE_SHARE
    return attribute._replace(weights=tuple(shares))


@functools.lru_cache(maxsize=4)
def load(name):
    """Returns the `Artwork` of the style `name`; UserError with the list of styles where there is none."""
    if name not in style_names():
        raise config.UserError(f"--data=avatars/{name}: expected one of the styles {', '.join(style_names())}.")
    style = Style.from_json(resources.files("dicebear_styles").joinpath(name + ".json").read_text(encoding="utf-8"))
    attributes = [attribute for attribute in _all_attributes(style) if len(attribute.values) > 1]
    rare = _rare(attributes)
    attributes = [_made_rare(one, rare[1]) if rare and one.name == rare[0] else one for one in attributes]
    return Artwork(name, style, tuple(attributes), rare)


def pins(artwork, indices):
    """Returns {name: value} for attribute values given as indices, in the order of `artwork.attributes`."""
    values = {
        attribute.name: attribute.values[index] for attribute, index in zip(artwork.attributes, indices, strict=True)
    }
    return {name: None if value == "none" else value for name, value in values.items()}


def render(artwork, size, chosen):
    """Draws an avatar.

    Args:
        artwork: An `Artwork`.
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
    artwork = load(style)
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
