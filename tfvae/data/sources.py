"""What --data names: one function for each kind, in one table."""

from tfvae import config
from tfvae.data import arrays, folders, prepared


def find(settings):
    """Returns {"train", "validation", "test": `source.Source`} for `settings.data`.

    Args:
        settings: A `config.DataConfig`.

    Raises:
        UserError: If there are no such images.
    """
    name = settings.data
    if settings.data_dir:
        config.folder(settings.data_dir, "--data_dir", writable=False)
    if settings.archive and not name.startswith("cartoonset"):
        raise config.UserError(f"--archive needs --data=cartoonset10k or cartoonset100k, got --data={name}.")
    if name == "avatars" or name.startswith("avatars/"):
        return prepared.avatars(settings)
    if name in ("cartoonset10k", "cartoonset100k"):
        return prepared.cartoonset(settings)
    if name.startswith("tfds:"):
        return prepared.named(settings)
    path = config.path_of(name)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # A name that is too long, say, or a folder above it that may not be looked into.
        raise config.UserError(f"--data={name}: {error.strerror}.") from None
    if is_folder:
        return folders.find(settings, path)
    if path.suffix in (".npz", ".npy") and is_file:
        return arrays.find(settings, path)
    raise config.UserError(
        "--data must be avatars[/STYLE], cartoonset10k, cartoonset100k, tfds:NAME, an existing folder, or a .npz or "
        f".npy file, got {name!r}."
    )
