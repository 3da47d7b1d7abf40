"""What a setting is: a field of a frozen dataclass with a default, a line of help, and bounds that are held.

Nothing here imports TensorFlow. The settings of each command are in `config`.
"""

import dataclasses
import re
import types


class UserError(ValueError):
    """A mistake that its user can mend. Commands print it as one line and leave with exit status 1."""


def option(default, help, *, at_least=None, above=None, at_most=None, choices=None, recorded=True):
    """Returns a dataclass field whose metadata holds its help text and the bounds that `check` holds it to.

    Args:
        default: The default value; its type is the setting's type.
        help: One line for `--help`.
        at_least: Inclusive lower bound, or None.
        above: Exclusive lower bound, or None.
        at_most: Inclusive upper bound, or None.
        choices: The allowed values, or None.
        recorded: Whether `flags.cfg` keeps the setting; False for what concerns one call only.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "choices": choices}
    return dataclasses.field(default=default, metadata={"help": help, "recorded": recorded, **bounds})


def _complaint(value, field):
    """Returns what was expected of `value`, or None where it is within the field's bounds."""
    bounds, kind = field.metadata, type(field.default)
    whole_for_real = kind is float and type(value) is int
    if type(value) is not kind and not whole_for_real:
        return f"must be of type {kind.__name__}"
    if bounds["choices"] is not None and value not in bounds["choices"]:
        return "must be one of " + ", ".join(str(choice) or "empty" for choice in bounds["choices"])
    if kind is float and not abs(value) < float("inf"):
        return "must be a finite number"
    if bounds["at_least"] is not None and value < bounds["at_least"]:
        return f"must be at least {bounds['at_least']}"
    if bounds["above"] is not None and value <= bounds["above"]:
        return f"must be above {bounds['above']}"
    if bounds["at_most"] is not None and value > bounds["at_most"]:
        return f"must be at most {bounds['at_most']}"
    if kind is str and re.search(r"[\x00-\x1f\x7f]", value):
        return "must be one line, without control characters"
    if kind is str and value != value.rstrip():
        return "must not end in a space"  # A flagfile could not hold it.
    if kind is str and re.search(r"[\ud800-\udfff]", value):
        return "must be valid UTF-8"
    return None


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all settings: checks each field against its bounds.

    Attributes:
        RETIRED: Names of settings of earlier versions that have no effect any more; command lines still take them.
        RENAMED: {(name, value of an earlier version): its value now}.

    Raises:
        UserError: If a value is of the wrong type or out of bounds; the message names the flag.
    """

    RETIRED = ()
    RENAMED = types.MappingProxyType({})

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            complaint = _complaint(value, field)
            if complaint:
                raise UserError(f"--{field.name} {complaint}, got {value!r}.")
