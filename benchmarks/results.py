"""Where a benchmark leaves its results: several may share a folder; none replaces what it measured before unasked."""

import json

from tfvae import config, outputs


def folder(settings, *names):
    """Returns the folder `settings.output`, which is made where it is missing.

    Args:
        settings: With `output` and `overwrite`, a folder and whether its files may be replaced.
        names: The files that are to be written, of which none may be there.

    Raises:
        config.UserError: If one is, or the folder cannot be written.
    """
    output = config.folder(settings.output, "--output")
    for name in names:
        outputs.refuse_existing(output / name, settings.overwrite)
    output.mkdir(parents=True, exist_ok=True)
    return output


def read(path):
    """Returns what a file of JSON holds; raises config.UserError, with its name, where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise config.UserError(f"{path} is damaged: expected JSON; move it away and measure again.") from None
