"""--data=FOLDER: every image file below it."""

import os
import stat
import warnings

import tensorflow as tf

from tfvae import config
from tfvae.data import source

EXTENSIONS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")


def _files(folder):
    """Returns (image files below `folder`, folders and pipes that cannot be read): relative, sorted, with '/'."""
    found, unread = [], []
    for root, _, names in os.walk(folder, onerror=lambda error: unread.append(_relative(error.filename, folder))):
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("._"):
                path = os.path.join(root, name)
                (unread if _is_special(path) else found).append(_relative(path, folder))
    return sorted(found), sorted(unread)


def _is_special(path):
    """Returns whether `path` is a pipe, say, which to read could take for ever."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:  # A link to nowhere, say: named later, with what else cannot be decoded.
        return False


def _relative(path, folder):
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _report(unread, settings):
    """Names the folders that cannot be read, in one warning, or one error with --strict."""
    if "." in unread:
        raise config.UserError(f"--data={settings.data}: no permission to read this folder.")
    if unread:
        message = f"{len(unread)} folders or pipes cannot be read: {source.named(unread)}"
        if settings.strict:
            raise config.UserError(f"--data={settings.data}: {message}.")
        warnings.warn(f"{message}; they are left out.", stacklevel=2)


def _fingerprint(folder, names):
    return source.digest(f"{name}:{_state(os.path.join(folder, name))}" for name in names)


def _state(path):
    try:
        found = os.stat(path)
    except OSError:
        return "unreadable"
    return f"{found.st_size}:{found.st_mtime_ns}"


def _source(folder, names):
    # Below the folder, for the whole paths of many images are a part of what an image takes itself.
    below = tf.constant([os.fsencode(name) for name in names], tf.string, shape=[len(names)])

    def fetch(index):
        return tf.io.read_file(tf.strings.join([os.fsencode(os.path.join(folder, "")), tf.gather(below, index)]))

    def stream():
        return tf.data.Dataset.range(len(names)).map(lambda index: (index, fetch(index)), tf.data.AUTOTUNE)

    return source.Source(len(names), 3, stream, fetch, _fingerprint(folder, names), names)


def find(settings, folder):
    """Returns {split: `source.Source`} of the images below `folder`.

    An image's split follows from its path below the folder, so that more images never move old ones.
    """
    names, unread = _files(folder)
    _report(unread, settings)
    if not names:
        wanted = ", ".join(extension[1:] for extension in EXTENSIONS)
        raise config.UserError(f"--data={settings.data}: expected images ({wanted}) in this folder, got none.")
    parts = source.split_by_hash(names, settings.holdout)
    return {split: _source(folder, [names[index] for index in indices]) for split, indices in parts.items()}
