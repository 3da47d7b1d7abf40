"""Readers kept beside the prepared data: one for a data set at one size, trained at its first use."""

import hashlib
import json

import numpy as np

from tfvae import config, files
from tfvae.data import source
from tfvae.evaluation import reader as readers

_RECIPE = 1  # Another number wherever another reader would come out of the same data.
_LOOKED_AT = 500  # Images of each split by which data sets are told apart.


def identity(images):
    """Returns what differs where a reader trained on a `data.Data` could differ."""
    digest = hashlib.sha256()
    for split in ("train", "test"):
        labels = images.attributes[split]
        for name in sorted(labels):
            digest.update(np.ascontiguousarray(labels[name], np.int64).tobytes())
        digest.update(images.images(split, images.spread(split, _LOOKED_AT)).tobytes())
    values = json.dumps(images.attribute_values, sort_keys=True)
    return source.digest([_RECIPE, images.image_shape, values, digest.hexdigest()])


def _open(path, images):
    """Returns the reader kept at `path`, or None where there is none that is whole."""
    try:
        kept = files.read_arrays(path)
        accuracy = json.loads(str(kept.pop("accuracy")))
        reader = readers.Reader(images.image_shape, images.attribute_values, [kept[name] for name in sorted(kept)])
        reader.accuracy = accuracy
        return reader
    except FileNotFoundError:
        return None
    except Exception as error:  # A damaged file can raise nearly anything in there.
        print(f"{path} cannot be used ({' '.join(str(error).split())}); it is made again.", flush=True)
        return None


def _keep(reader, path):
    arrays = {f"weight_{number:02d}": one for number, one in enumerate(reader.weights())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_arrays(path, arrays | {"accuracy": json.dumps(reader.accuracy)})
    except OSError as error:
        raise config.UserError(f"--data_dir: cannot write {path}: {error.strerror or error}.") from None


def reader_for(images, settings):
    """Returns the `reader.Reader` of a data set, trained now if it was never needed before.

    Args:
        images: A `data.Data` with attributes.
        settings: Its `config.DataConfig`.
    """
    path = source.data_dir(settings) / "tfvae_readers" / f"{identity(images)}.npz"
    reader = _open(path, images)
    if reader is None:
        reader = readers.Reader(images.image_shape, images.attribute_values)
        attributes, visible = images.attributes, images.visible
        reader.fit(lambda numbers: images.images("train", numbers), attributes["train"], visible["train"])
        reader.measure(images.images("test"), attributes["test"], visible["test"])
        _keep(reader, path)
        print(f"The reader of attributes is trained and kept: {path}", flush=True)
    return reader
