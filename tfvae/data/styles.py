"""The DiceBear styles: what the avatars of each can have otherwise than one another, and how often.

Nothing here imports TensorFlow, so that drawing processes start at once.

Source: dicebear-styles (the artwork, each style under a licence of its own).
"""

import functools
from importlib import metadata, resources
from typing import NamedTuple

from dicebear.style import Style
from dicebear.utils.color import Color

from tfvae import config

DEFAULT = "personas"
RARE_SHARE = 0.05
_TURNS = 8  # Values that a free rotation by any angle is held to.
_LEVELS = 5  # Values that any other continuous transform is held to.
_MOST_STEPS = 36  # A transform in finer steps than these counts as continuous.


def of(data):
    """Returns the style that `--data` names, "avatars" being the default one; None where it names other data."""
    kind, _, style = data.partition("/")
    return (style or DEFAULT) if kind == "avatars" else None


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
    fixed: dict  # Name -> value of what could be an attribute but has one value only.


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


def components(elements):
    """Yields the names of the components that `elements` draw directly, not inside other components."""
    for element in elements:
        if element.type() == "component":
            yield element.name()
        yield from components(element.children())


def _colors(elements):
    """Yields the names of the colours that `elements` refer to."""
    for element in elements:
        for value in (element.attributes() or {}).values():
            if isinstance(value, dict) and value.get("type") == "color":
                yield value["name"]
        yield from _colors(element.children())


def drawn_variants(component):
    """Returns {name: weight} of the variants that may be drawn: a weight of 0 marks what is drawn on request only."""
    weights = {variant: view.weight() for variant, view in component.variants().items()}
    if not any(weights.values()):
        return dict.fromkeys(weights, 1)
    return {variant: weight for variant, weight in weights.items() if weight}


def _used(style):
    """Returns the names of the components and of the colours that some avatar of the style makes use of."""
    elements = list(style.canvas().elements())
    used, waiting = set(), list(components(elements))
    while waiting:
        name = waiting.pop()
        component = style.components().get(name)
        if name not in used and component:
            used.add(name)
            for variant in drawn_variants(component):
                inside = component.variants()[variant].elements()
                elements += inside
                waiting += components(inside)
    colors = {"background", *_colors(elements)}
    root = [value["name"] for value in style.attributes().values() if isinstance(value, dict)]
    return used, colors.union(root)


def _variants(name, component):
    weights = drawn_variants(component)
    shares = _shares(list(weights.values()))
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
    used, colors = _used(style)
    for name, component in style.components().items():
        if name in used:
            yield _variants(name, component)
            yield from _transforms(name, component)
    # A colour that another one contrasts with shows through it alone.
    colors |= {style.colors()[name].contrast_to() for name in colors if name in style.colors()}
    for name, color in style.colors().items():
        if name in colors and color.contrast_to() is None:
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


def definition(name):
    """Returns the text of a style's definition, JSON."""
    return resources.files("dicebear_styles").joinpath(name + ".json").read_text(encoding="utf-8")


@functools.lru_cache(maxsize=4)
def load(name):
    """Returns the `Artwork` of the style `name`; UserError with the list of styles where there is none."""
    if name not in style_names():
        raise config.UserError(f"--data=avatars/{name}: expected one of the styles {', '.join(style_names())}.")
    style = Style.from_json(definition(name))
    found = list(_all_attributes(style))
    fixed = {attribute.name: attribute.values[0] for attribute in found if len(attribute.values) == 1}
    attributes = [attribute for attribute in found if len(attribute.values) > 1]
    rare = _rare(attributes)
    attributes = [_made_rare(one, rare[1]) if rare and one.name == rare[0] else one for one in attributes]
    return Artwork(name, style, tuple(attributes), rare, fixed)
