"""--data=FOLDER: every image file below it."""

import os

import tensorflow as tf

from tfvae import config
from tfvae.data import source

EXTENSIONS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")


def _files(folder):
    """Returns the relative paths of the image files below `folder`, sorted, as str with '/'."""
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("._"):
                found.append(os.path.relpath(os.path.join(root, name), folder).replace(os.sep, "/"))
    return sorted(found)


def _fingerprint(folder, names):
    return source.digest(*(f"{name}:{_state(os.path.join(folder, name))}" for name in names))


def _state(path):
    try:
        stat = os.stat(path)
    except OSError:  # A link to nowhere, say: named later, with what else cannot be decoded.
        return "unreadable"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def _source(folder, names):
    paths = tf.constant([os.fsencode(os.path.join(folder, name)) for name in names], tf.string, shape=[len(names)])

    def fetch(index):
        return tf.io.read_file(tf.gather(paths, index))

    def stream():
        return tf.data.Dataset.range(len(names)).map(lambda index: (index, fetch(index)), tf.data.AUTOTUNE)

    return source.Source(len(names), 3, stream, fetch, _fingerprint(folder, names), names)


def find(settings, folder):
    """Returns {split: `source.Source`} of the images below `folder`.

    An image's split follows from its path below the folder, so that more images never move old ones.
    """
    names = _files(folder)
    if not names:
        wanted = ", ".join(extension[1:] for extension in EXTENSIONS)
        raise config.UserError(f"--data={settings.data}: expected images ({wanted}) in this folder, got none.")
    parts = source.split_by_hash(names, settings.holdout)
    return {split: _source(folder, [names[index] for index in indices]) for split, indices in parts.items()}
