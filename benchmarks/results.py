"""Where a benchmark leaves its results: several may share a folder; none replaces what it measured before unasked."""

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
