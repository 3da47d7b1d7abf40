"""Settings -> absl flags -> settings -> flagfile text. Only this module and the entry points know flags."""

import contextlib
import dataclasses
import inspect
import io
import sys
import textwrap

from absl import flags

from tfvae import config, quiet

_DEFINE = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}


def _define(settings_class, flag_values):
    for field in dataclasses.fields(settings_class):
        _DEFINE[type(field.default)](field.name, field.default, field.metadata["help"], flag_values=flag_values)


def _read(settings_class, flag_values):
    return settings_class(**{field.name: flag_values[field.name].value for field in dataclasses.fields(settings_class)})


def _help(settings_class, description):
    lines = [description.strip(), "", "Flags, with their defaults:"]
    for field in dataclasses.fields(settings_class):
        lines.append(f"  --{field.name}={_text(field.default)}")
        words = field.metadata["help"]
        choices = field.metadata["choices"]
        if choices:
            words += f" One of {', '.join(str(choice) for choice in choices)}."
        lines += textwrap.wrap(words, 100, initial_indent="      ", subsequent_indent="      ")
    lines += [
        "  --flagfile=FILE",
        "      Reads flags from FILE, one a line, as flags/*.cfg and runs/NAME/flags.cfg hold them.",
    ]
    return "\n".join(lines)


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def flagfile(settings):
    """Returns `settings` as the text of an absl flagfile; `--flagfile` reads it back to the same settings."""
    fields = (field for field in dataclasses.fields(settings) if field.metadata["recorded"])
    return "".join(f"--{field.name}={_text(getattr(settings, field.name))}\n" for field in fields)


def parse(settings_class, argv):
    """Parses a command line, flagfiles included.

    Args:
        settings_class: A subclass of `config.Settings`.
        argv: The arguments, without the program's name.

    Returns:
        (settings, the arguments that are no flags).

    Raises:
        config.UserError: If a flag is unknown, of the wrong type or out of bounds.
    """
    flag_values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "", flag_values=flag_values)
    flags.DEFINE_string("undefok", "", "", flag_values=flag_values)
    _define(settings_class, flag_values)
    flag_values.set_gnu_getopt(True)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            rest = flag_values(["tfvae", *argv])[1:]
    except UnicodeDecodeError as error:
        raise config.UserError(
            f"--flagfile: expected a file of text, got the byte 0x{error.object[error.start]:02x}."
        ) from None
    except (flags.Error, OSError, ValueError, RecursionError) as error:
        raise config.UserError(" ".join(str(error).split()).removeprefix("ERROR:: ")) from None
    if said.getvalue():  # All that absl has to say is that a flagfile names itself, which it would go on without.
        raise config.UserError("--flagfile: " + " ".join(said.getvalue().split()).removeprefix("Warning: "))
    return _read(settings_class, flag_values), rest


def read_flagfile(settings_class, path):
    """Returns the settings that the flagfile `path` holds; UserError where it holds anything else."""
    settings, rest = parse(settings_class, [f"--flagfile={path}"])
    if rest:
        raise config.UserError(f"{path}: expected flags only, got {rest[0]!r}.")
    return settings


def _one_line(error):
    """Returns what an error says with what would break the line, such as a file's name can hold, written as \\n."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(error))


def run(settings_class, main, files=(0, 0)):
    """Runs a command: reads its settings from `sys.argv`, answers --help, and reports mistakes in one line.

    Args:
        settings_class: A subclass of `config.Settings`.
        main: Called with (settings, files): files are the arguments that are no flags.
        files: The least and the largest number of such arguments; None for no largest.
    """
    quiet.hush()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # A file's name may be anything but UTF-8.
            stream.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:]
    if any(argument in ("--help", "-help", "-h", "--helpfull", "--helpshort") for argument in argv):
        print(_help(settings_class, inspect.getmodule(main).__doc__))
        return
    try:
        settings, rest = parse(settings_class, argv)
        least, most = files
        if len(rest) < least or (most is not None and len(rest) > most):
            expected = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise config.UserError(
                f"Expected {expected} arguments that are no flags, got {len(rest)}: {' '.join(rest)}"
            )
        main(settings, rest)
    except config.UserError as error:
        sys.exit(f"error: {_one_line(error)}")
    except OSError as error:
        sys.exit(f"error: {_one_line(error)}")
    except MemoryError as error:
        sys.exit(f"error: not enough memory: {_one_line(error)}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
