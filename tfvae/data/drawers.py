"""Draws many avatars on all cores."""

import base64
import sys
from typing import NamedTuple

from tfvae.data import children

_CHUNK = 32


class Avatar(NamedTuple):
    """One finished avatar."""

    indices: tuple  # An index into each attribute's values.
    visible: tuple  # Of bool: whether each attribute shows.
    png: bytes


def _work(style, size):
    """Answers lists of avatar numbers with lists of avatars."""
    from tfvae.data import artwork, styles, visibility

    art = styles.load(style)
    shows = visibility.Visibility(style, size)

    def draw(number):
        indices = artwork.sample(art, number)
        drawing = artwork.render(art, size, artwork.pins(art, indices))
        visible = [bool(mark) for mark in shows.marks(indices, drawing)]
        return [[int(index) for index in indices], visible, base64.b64encode(drawing.png).decode()]

    children.serve(lambda numbers: [draw(number) for number in numbers])


def draw_all(style, size, numbers):
    """Draws avatars on all cores.

    Args:
        style: The name of a style.
        size: Height and width in pixels.
        numbers: The avatars' numbers, as `artwork.sample` takes them.

    Yields:
        An `Avatar` for each number, in order.
    """
    numbers = [int(number) for number in numbers]
    chunks = [numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK)]
    for avatars in children.ask("tfvae.data.drawers", (style, size), chunks):
        for indices, visible, png in avatars:
            yield Avatar(tuple(indices), tuple(visible), base64.b64decode(png))


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]))
