"""--data=avatars, cartoonset and tfds: what TensorFlow Datasets prepares."""

import contextlib
import functools
import io
import itertools
import logging as python_logging
import os
import pathlib
import sys

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from tfvae import config, locks
from tfvae.data import source


@contextlib.contextmanager
def _quiet(everything):
    """Keeps TFDS's notes away; of what it prints on standard output, the bars only unless `everything` goes."""
    verbosity, retries = logging.get_verbosity(), python_logging.getLogger("urllib3")
    logging.set_verbosity(logging.ERROR)
    retries_level = retries.level
    retries.setLevel(python_logging.ERROR)
    if everything:
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO() if everything else sys.stderr):
            yield
    finally:
        logging.set_verbosity(verbosity)
        retries.setLevel(retries_level)
        if everything:
            tfds.enable_progress_bar()


def _one_line(error):
    """Returns the kind of the error and the first sentence of what it says."""
    first = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {first[:200].strip()}"


@contextlib.contextmanager
def _alone(builder):
    """Makes other processes that want to prepare the same data wait, and removes what a killed one has left of it."""
    final = pathlib.Path(builder.data_dir)
    final.parent.mkdir(parents=True, exist_ok=True)

    def wait(holder):
        print(f"waiting for {holder}, which prepares the same data", file=sys.stderr, flush=True)

    with locks.held(final.parent / f"{final.name}.lock", wait):
        for path in final.parent.glob(f"incomplete.??????_{final.name}"):
            locks.delete(path)
        yield


def _prepare(make, settings, quiet=False, **arguments):
    """Returns the TFDS builder that `make()` gives, with its data prepared.

    Raises:
        UserError: If there is no such data set, or it could not be downloaded. TFDS and its data sets raise all kinds
            of errors, of which a user needs one line.
    """
    try:
        with _quiet(quiet):
            folder = os.fspath(source.data_dir(settings))
            builder = make(data_dir=folder)
            if os.path.exists(builder.data_dir):
                return builder
            with _alone(builder):
                builder = make(data_dir=folder)  # Anew, for another process may have prepared it meanwhile.
                builder.download_and_prepare(**arguments)
            return builder
    except config.UserError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, config.UserError):
            raise error.__cause__ from None
        raise config.UserError(
            f"--data={settings.data}: the data set could not be prepared: {_one_line(error)}"
        ) from error


def _image_feature(builder, settings):
    """Returns (name, feature) of the image of each example."""
    features = builder.info.features
    images = [] if features is None else [key for key, one in features.items() if isinstance(one, tfds.features.Image)]
    if not images:
        found = ", ".join(features or {}) or "none"
        raise config.UserError(f"--data={settings.data}: expected a data set with an image feature, got {found}.")
    key = "image" if "image" in images else images[0]
    if features[key].np_dtype not in (np.uint8, np.uint16):
        raise config.UserError(
            f"--data={settings.data}: expected images of 8 or 16 bits, got {features[key].np_dtype}."
        )
    return key, features[key]


def _splits(builder, settings):
    """Returns {split: name of the official split}, and lines that say which splits are not used."""
    official = {name: split.num_examples for name, split in builder.info.splits.items() if split.num_examples}
    if not official:
        raise config.UserError(f"--data={settings.data}: expected images in the data set, got none.")
    found = {split: name for split, names in source.SPLIT_NAMES.items() for name in reversed(names) if name in official}
    if "train" not in found:
        found["train"] = next((name for name in official if name not in found.values()), next(iter(official)))
    unused = [f"{name} ({count:,})" for name, count in official.items() if name not in found.values()]
    return found, [f"splits that are not used: {', '.join(unused)}"] * bool(unused)


def _read(builder, instruction, wanted, decoders=None):
    """Returns a dataset of the features `wanted` of the examples, always in the same order."""
    order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False, shuffle_seed=None)
    partial = tfds.decode.PartialDecoding(wanted, decoders=decoders)
    with _quiet(everything=False):
        return builder.as_dataset(split=instruction, shuffle_files=False, read_config=order, decoders=partial)


def _labels(builder, splits, layout, rows):
    """Returns the `source.Labels` of some examples, read now.

    Args:
        builder: A prepared builder.
        splits: The names of the splits, one after the other.
        layout: {"attributes": names of ClassLabel features, or of a dictionary of them, "visible": name or None}.
        rows: [n] numbers of examples.
    """
    groups = {key: name for key, name in layout.items() if name}
    if not groups:
        return source.Labels()
    wanted = {name: True for name in groups.values()}
    batches = [batch for split in splits for batch in _read(builder, split, wanted).batch(4096).as_numpy_iterator()]

    def columns(key):
        if key not in groups:
            return {}
        parts = [batch[groups[key]] for batch in batches]
        parts = [part if isinstance(part, dict) else {groups[key]: part} for part in parts]
        return {name: np.concatenate([part[name] for part in parts])[rows] for name in parts[0]}

    feature = builder.info.features[groups["attributes"]]
    features = dict(feature) if isinstance(feature, tfds.features.FeaturesDict) else {groups["attributes"]: feature}
    return source.Labels(
        columns("attributes"), columns("visible"), {key: tuple(one.names) for key, one in features.items()}
    )


def _layout(features):
    """Returns which features of a data set are attributes, as `_labels` takes it."""
    if "attributes" in features and isinstance(features["attributes"], tfds.features.FeaturesDict):
        return {"attributes": "attributes", "visible": "visible" if "visible" in features else None}
    if "label" in features and isinstance(features["label"], tfds.features.ClassLabel):
        return {"attributes": "label", "visible": None}
    return {"attributes": None, "visible": None}


def _source(builder, settings):
    key, feature = _image_feature(builder, settings)
    splits, left_out = _splits(builder, settings)
    counts = [builder.info.splits[name].num_examples for name in splits.values()]
    ends = np.cumsum(counts)

    def stream():
        numbers = itertools.count()
        for name in splits.values():
            examples = _read(builder, name, {key: True}, {key: tfds.decode.SkipDecoding()})
            yield from ((next(numbers), example[key]) for example in examples.as_numpy_iterator())

    made = os.stat(os.path.join(builder.data_dir, "dataset_info.json")).st_mtime_ns
    return source.Source(
        count=int(ends[-1]),
        channels=1 if feature.shape[-1] == 1 else 3,
        stream=stream,
        fetch=None,
        identity=source.digest([builder.data_dir, builder.info.full_name, made, *splits.values()]),
        official={split: np.arange(end - count, end) for split, end, count in zip(splits, ends, counts, strict=True)},
        labels=functools.partial(_labels, builder, list(splits.values()), _layout(builder.info.features)),
        looks_at_bytes=not isinstance(builder, _own_builders()),
        left_out=tuple(left_out),
    )


def _own_builders():
    """Returns the data sets of this package, whose values are known."""
    from tfvae.data import avatars, cartoonset

    return avatars.Avatars, cartoonset.Cartoonset


def avatars(settings):
    """Returns the `source.Source` of avatars, drawn at their first use."""
    from tfvae.data import avatars as builders
    from tfvae.data import styles

    style = styles.of(settings.data)
    size = max(settings.height_and_width)
    make = functools.partial(builders.Avatars, style=style, size=size, counts=builders.COUNTS)
    return _source(_prepare(make, settings, quiet=True), settings)


def cartoonset(settings):
    """Returns the `source.Source` of the Cartoon Set, downloaded or from --archive at the first use."""
    from tfvae.data import cartoonset as builders

    make = functools.partial(builders.Cartoonset, config=settings.data, archive=settings.archive)
    return _source(_prepare(make, settings, quiet=bool(settings.archive)), settings)


def named(settings):
    """Returns the `source.Source` of `tfds:NAME[/CONFIG]`."""
    name = settings.data.removeprefix("tfds:")
    return _source(_prepare(functools.partial(tfds.builder, name), settings), settings)
