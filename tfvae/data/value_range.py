"""The values that become 0 and 1 (black and white): looked at in arrays and in files of more than 8 bits.

Files of 8 bits hold 0 to 255 for every viewer; they are taken so unless --black and --white say otherwise.
"""

from typing import NamedTuple

import numpy as np

_BLOCK = 2**16  # Values that are converted at once: as many floats as a processor's cache holds.
_FEW_LEVELS = 16  # Values below this are no grey levels but masks or classes.


class ValueRange(NamedTuple):
    """What becomes 0 and what becomes 255."""

    black: float
    white: float

    def to_uint8(self, values):
        """Returns numbers of any type and shape as uint8 of the same shape; what lies outside is clipped."""
        if values.dtype == np.uint8 and self == BYTES:
            return values
        values = np.ascontiguousarray(values)
        flat, found = values.reshape(-1), np.empty(values.size, np.uint8)
        for start in range(0, len(flat), _BLOCK):
            part = flat[start : start + _BLOCK].astype(np.float64)
            part -= self.black
            part *= 255 / (self.white - self.black)
            np.clip(part, 0, 255, out=part)
            found[start : start + _BLOCK] = np.rint(part, out=part)
        return found.reshape(values.shape)

    def __str__(self):
        return f"{self.black:g} to {self.white:g}"


BYTES = ValueRange(0.0, 255.0)


def choose(dtype, lowest, highest, settings):
    """Returns the range of values that were looked at, and whether it is the one that their type stands for.

    Args:
        dtype: Their NumPy type.
        lowest, highest: The least and the largest of them, finite.
        settings: A `config.DataConfig`, whose --black and --white come first.

    Returns:
        (`ValueRange`, whether nobody needs to be told of it).
    """
    black, white, is_usual = _looked_at(np.dtype(dtype).newbyteorder("="), lowest, highest)
    if settings.black != "auto":
        black = float(settings.black)
    if settings.white != "auto":
        white = float(settings.white)
    if white <= black:  # All values are equal, or one bound was given beyond those that were looked at.
        if settings.white != "auto":
            black = white - max(1.0, abs(white))
        else:
            white = black + max(1.0, abs(black))  # Next to 1e20, 1 is nothing.
    return ValueRange(black, white), is_usual and (settings.black, settings.white) == ("auto", "auto")


def _looked_at(dtype, lowest, highest):
    """Returns (black, white, whether this is what the type stands for)."""
    if dtype == np.bool_:
        return 0.0, 1.0, True
    if dtype.kind == "f":
        if lowest >= 0 and highest <= 1:
            return 0.0, 1.0, True
        if lowest >= -1 and highest <= 1:
            return -1.0, 1.0, False
        if lowest >= 0 and _FEW_LEVELS <= highest <= 255:
            return 0.0, 255.0, False
        # Little beyond 1 too, as a resize leaves it: 0 to 255 would make these black.
        return (0.0 if 0 <= lowest and highest < _FEW_LEVELS else float(lowest)), float(highest), False
    if 0 <= lowest and highest <= 255:
        if highest < _FEW_LEVELS:
            return 0.0, float(max(highest, 1)), False
        return 0.0, 255.0, dtype.itemsize == 1
    if dtype == np.uint16 and highest >= 2**15:
        return 0.0, float(2**16 - 1), True
    return float(lowest), float(highest), False
