"""Settings -> absl flags -> settings -> flagfile text. Only this module and the entry points know flags."""

import dataclasses
import inspect
import os
import re
import sys
import textwrap
import warnings

from absl import flags

from tfvae import config, keras_backend, quiet

_MOST_BYTES, _MOST_FILES = 1_000_000, 32  # Of a flagfile; of flagfiles that name others.
_LIMITS = {"at_least": "at least", "above": "above", "at_most": "at most"}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}
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
            words += f" One of {', '.join(str(choice) or 'empty' for choice in choices)}."
        limits = [f"{word} {field.metadata[key]:,}" for key, word in _LIMITS.items() if field.metadata[key] is not None]
        if limits:
            words += f" {', '.join(limits).capitalize()}."
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
    names = [field.name for field in dataclasses.fields(settings) if field.metadata["recorded"]]
    return f"# {len(names)} settings\n" + "".join(f"--{name}={_text(getattr(settings, name))}\n" for name in names)


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
    argv, retired = _current(settings_class, _with_files(settings_class, argv, []))
    flag_values, rest = _parsed(settings_class, argv)
    if retired:
        print(f"no longer used: {', '.join(retired)}", file=sys.stderr)
    return _read(settings_class, flag_values), rest


def _current(settings_class, argv):
    """Returns (`argv` as this version takes it, the flags of earlier versions that were left out)."""
    arguments, found, retired = iter(argv), [], {}
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        if argument == "--" or not argument.startswith("-"):
            found += [argument, *(arguments if argument == "--" else ())]
        elif name in settings_class.RETIRED:
            retired[f"--{name}"] = value if equals else next(arguments, "")
        else:
            found.append(f"--{name}={settings_class.RENAMED.get((name, value), value)}" if equals else argument)
    return found, list(retired)


def _parsed(settings_class, argv):
    """Returns (absl's values of flags, the arguments that are no flags), of arguments without flagfiles."""
    if any(re.match("--?undefok(=|$)", argument) for argument in argv):  # absl's own: misspelt flags would be ignored.
        raise config.UserError("Unknown command line flag 'undefok'.")
    argv = _current(settings_class, argv)[0]
    flag_values = flags.FlagValues()
    _define(settings_class, flag_values)
    flag_values.set_gnu_getopt(True)
    try:
        return flag_values, flag_values(["tfvae", *argv])[1:]
    except flags.IllegalFlagValueError as error:
        said = re.match(r"flag --(\w+)=(.*?): ", str(error), re.S)
        fields = {field.name: field for field in dataclasses.fields(settings_class)}
        if not said or said[1] not in fields:
            raise config.UserError(" ".join(str(error).split())) from None
        expected = _WORDS[type(fields[said[1]].default)]
        raise config.UserError(f"--{said[1]} must be {expected}, got {said[2]!r}.") from None
    except (flags.Error, ValueError) as error:
        raise config.UserError(" ".join(str(error).split())) from None


def _with_files(settings_class, argv, opened):
    """Returns `argv` with the flags of each flagfile in its place; a mistake in one is told with the file's name.

    Args:
        settings_class: A subclass of `config.Settings`.
        argv: The arguments.
        opened: Paths of the flagfiles that were opened, to which this adds.
    """
    arguments, found = iter(argv), []
    for argument in arguments:
        if argument == "--":
            return [*found, argument, *arguments]
        name, equals, path = argument.partition("=")
        if name not in ("--flagfile", "-flagfile"):
            found.append(argument)
            continue
        path = path if equals else next(arguments, "")
        opened.append(path)
        if len(opened) > _MOST_FILES:
            raise config.UserError(
                f"--flagfile={path}: expected at most {_MOST_FILES} flagfiles, none of which leads to itself."
            )
        lines = (line.strip() for line in _text_of(path).splitlines())
        lines = [line for line in lines if line and not line.startswith(("#", "//"))]
        lines = _with_files(settings_class, lines, opened)
        try:
            rest = ["--"] if "--" in lines else _parsed(settings_class, lines)[1]
        except config.UserError as error:
            raise config.UserError(f"--flagfile={path}: {error}") from None
        if rest:
            shown = rest[0] if len(rest[0]) <= 80 else f"{rest[0][:80]}..."
            raise config.UserError(f"--flagfile={path}: expected flags, one a line, got {shown!r}.")
        found += lines
    return found


def _text_of(path):
    """Returns what is in the flagfile `path`."""
    flagfile = config.path_of(path)
    try:
        if not path or not flagfile.is_file():
            kinds = {"none": not path, "a folder": flagfile.is_dir(), "a device or a pipe": flagfile.exists()}
            got = next((kind for kind, it_is in kinds.items() if it_is), "no such file")
            raise config.UserError(f"--flagfile={path}: expected a file of flags, one a line, got {got}.")
        with open(flagfile, "rb") as file:
            contents = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise config.UserError(f"--flagfile={path[:80]}: {error.strerror}.") from None
    if len(contents) > _MOST_BYTES:
        raise config.UserError(f"--flagfile={path}: expected a file of flags, got more than {_MOST_BYTES:,} bytes.")
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = contents[error.start]
        raise config.UserError(f"--flagfile={path}: expected a file of text, got the byte 0x{byte:02x}.") from None


def read_flagfile(settings_class, path):
    """Returns the settings that the flagfile `path` holds, one that `flagfile` wrote.

    Raises:
        config.UserError: If it is cut short, or holds anything else.
    """
    text = _text_of(str(path))
    wanted, found = re.match(r"# (\d+) settings$", text, re.M), len(re.findall("^--", text, re.M))
    if not text.strip() or (wanted and int(wanted[1]) > found):
        raise config.UserError(
            f"{path}: expected {wanted[1] if wanted else 'all'} settings, got {found}: it is cut short."
        )
    return parse(settings_class, [f"--flagfile={path}"])[0]


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
    warnings.formatwarning = lambda message, *_, **__: f"warning: {_one_line(message)}\n"
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # A file's name may be anything but UTF-8.
            stream.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:]
    if any(argument in ("--help", "-help", "-h", "--helpfull", "--helpshort") for argument in argv):
        print(_help(settings_class, inspect.getmodule(main).__doc__))
        return
    keras_backend.use_tensorflow()
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
    except BrokenPipeError:  # Whoever reads what is printed has closed it, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(f"error: {_one_line(error)}")
    except MemoryError as error:
        sys.exit(f"error: not enough memory: {_one_line(error)}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
