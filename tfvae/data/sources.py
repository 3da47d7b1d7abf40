"""What --data names: one function for each kind, in one table."""

from tfvae import config
from tfvae.data import folders


def _avatars(settings, deep_values):
    from tfvae.data import prepared

    _tell_of_folder(settings)
    return prepared.avatars(settings)


def _cartoonset(settings, deep_values):
    path = config.path_of(settings.data)
    if not settings.archive and path.is_dir() and folders.is_cartoonset(folders.Listing(path).names):
        found = f"the unpacked Cartoon Set in ./{settings.data} is taken; --archive=FILE.tgz takes an archive"
        source = folders.find(settings, path)
        return source._replace(found=(found, *source.found))
    from tfvae.data import prepared

    _tell_of_folder(settings)
    return prepared.cartoonset(settings)


def _tfds(settings, deep_values):
    from tfvae.data import prepared

    return prepared.named(settings)


def _tell_of_folder(settings):
    """Says so, before the data set is prepared, where a folder has its name."""
    if config.path_of(settings.data).is_dir():
        name = settings.data
        print(f"--data={name} is the data set that comes with tfvae; --data=./{name} takes the folder", flush=True)


def _path(settings, deep_values):
    path = config.path_of(settings.data)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # A name that is too long, say, or a folder above it that may not be looked into.
        raise config.UserError(f"--data={settings.data}: {error.strerror}.") from None
    if is_folder:
        return folders.find(settings, path)
    if path.suffix in (".npz", ".npy") and is_file:
        from tfvae.data import arrays

        return arrays.find(settings, path, deep_values)
    raise config.UserError(
        "--data must be avatars[/STYLE], cartoonset10k, cartoonset100k, tfds:NAME, an existing folder, or a .npz or "
        f".npy file, got {settings.data!r}."
    )


# How the name begins, whether that is all of it, and what finds the images.
_KINDS = (
    ("avatars", True, _avatars),
    ("avatars/", False, _avatars),
    ("cartoonset10k", True, _cartoonset),
    ("cartoonset100k", True, _cartoonset),
    ("tfds:", False, _tfds),
    ("", False, _path),
)


def find(settings, deep_values=None):
    """Returns the `source.Source` of `settings.data`.

    Args:
        settings: A `config.DataConfig`.
        deep_values: The `value_range.ValueRange` of integers of more than 8 bits; None: looked at.

    Raises:
        UserError: If there are no such images.
    """
    name = settings.data
    if settings.data_dir:
        config.folder(settings.data_dir, "--data_dir", writable=False)
    if settings.archive and not name.startswith("cartoonset"):
        raise config.UserError(f"--archive needs --data=cartoonset10k or cartoonset100k, got --data={name}.")
    return next(
        find_kind for start, is_whole, find_kind in _KINDS if (name == start if is_whole else name.startswith(start))
    )(settings, deep_values)
