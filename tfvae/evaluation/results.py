"""What was measured: numbers with their units, floors and directions, as JSON and as a table."""

import json
import math
from typing import NamedTuple


class Number(NamedTuple):
    """One measured number."""

    name: str
    value: float
    floor: float | None  # What real images have in the place of the model's, or the model on other images, or None.
    unit: str
    better: str  # "higher", "lower", "1" for a ratio that should be 1, or "" for what is neither.
    words: str  # What it is, in a line.


class Results:
    """All numbers of an evaluation.

    Attributes:
        about: {str: str}: model, data, settings.
        groups: {title: list of `Number`}.
        details: {str: ...}: what has more than one number, for `evaluation.json` alone.
        notes: List of str: what was left out, and why; how well attributes are read.
    """

    def __init__(self, about):
        self.about, self.groups, self.details, self.notes = dict(about), {}, {}, []

    def into(self, title):
        """Returns a function that adds a number to a group: `put(name, value, floor, unit, better, words)`."""
        numbers = self.groups.setdefault(title, [])

        def put(name, value, floor, unit, better, words):
            numbers.append(Number(name, _plain(value), None if floor is None else _plain(floor), unit, better, words))

        return put

    def get(self, group, name):
        """Returns the `Number` of that name."""
        return next(number for number in self.groups[group] if number.name == name)

    def json(self):
        """Returns the text of `evaluation.json`; what is no number is null there."""
        groups = {
            title: {number.name: {key: part for key, part in number._asdict().items() if key != "name"}
                    for number in numbers}
            for title, numbers in self.groups.items()
        }  # fmt: skip
        contents = {"about": self.about, "measures": groups, "details": self.details, "notes": self.notes}
        return json.dumps(_finite(contents), indent=1, allow_nan=False) + "\n"

    def table(self):
        """Returns the numbers as text in columns."""
        rows = [("", "value", "floor", "unit", "better", "")]
        for title, numbers in self.groups.items():
            rows += [(), (title,)]
            rows += [("  " + n.name, text(n.value), text(n.floor), n.unit, n.better, n.words) for n in numbers]
        full = [row for row in rows if len(row) == 6]
        widths = [max(len(row[column]) for row in full) for column in range(5)]
        lines = []
        for row in rows:
            if len(row) < 6:
                lines.append("".join(row))
                continue
            cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2])]
            lines.append("  ".join([*cells, row[3].ljust(widths[3]), row[4].ljust(widths[4]), row[5]]).rstrip())
        return "\n".join([*lines, "", *self.notes])


def _plain(value):
    """Returns NumPy's numbers as Python's."""
    return value if isinstance(value, int) else float(value)


def text(value):
    """Returns a number as a table shows it: about four digits, thousands whole."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.1f}"
    if 0 < abs(value) < 0.01:
        return f"{value:.3g}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
