"""`python -m tfvae.evaluate`, top-down: an export and its data in, numbers, pictures and a page out."""

import dataclasses
import json
import math
import os

import numpy as np

from tfvae import commandline, config, data, outputs, serving
from tfvae.data import styles, value_range
from tfvae.evaluation import analyst, bound, codes, figures, memorisation, reconstruction, report, samples, walks
from tfvae.evaluation import scene as scenes
from tfvae.evaluation.results import Results

_MOST_BYTES = 2**28  # Of one set of images as float32; a handful of sets are held.


def evaluate(settings):
    """Measures an export and writes evaluation.json, pictures and report.html.

    Args:
        settings: A `config.EvaluateConfig`.

    Returns:
        The `results.Results`; None with `reader_only`.

    Raises:
        config.UserError: If there is no export, its data are not there, or the output cannot be written.
    """
    served = serving.open_export(settings)
    trained = _trained(served)
    own_settings = settings_of_data(settings, served, trained)
    if settings.reader_only:
        return _train_reader(own_settings)
    output = _output(settings, served)
    name = trained.data if _is_same(settings.data or trained.data, trained.data) else settings.data
    images, own, notes = _load(name, own_settings, served)
    if images.num_test < 2:
        raise config.UserError(f"--data={name}: expected at least 2 test images, got {images.num_test}.")
    settings, reader = _affordable(settings, served), None
    if own is not None and own.num_test > 1 and own.attribute_values == images.attribute_values:
        reader = analyst.analyst_for(own, own_settings)
    count = settings.sizes[0]
    test = scenes.hold(served, images, "test", count)
    other = None if own is None else scenes.hold(served, own, "validation", count)
    results = Results(_about(settings, name, trained, served, images, own, test))
    results.details["settings"] = dataclasses.asdict(settings)
    results.notes += notes
    if trained.sampler != "prior":
        results.notes.append(
            f"New images are drawn through --sampler={trained.sampler}; elbo, rate and log p(x) are those of the prior "
            "that the model was trained with, but for sampler_elbo and sampler_rate."
        )
    scene = scenes.Scene(served, settings, images, own, test, other, reader, results)

    bound.add(scene)
    codes.add(scene)
    errors = reconstruction.add(scene)
    read = scenes.read_held(scene)
    drawn = samples.draw(scene, settings.std)
    analysis = samples.add(scene, settings.std, drawn, read)
    distances, nearest = memorisation.add(scene, results.into(samples.title(settings.std)), drawn)
    if settings.std != 1:
        samples.add(scene, 1.0, samples.draw(scene, 1.0), read)
    walked, redrawn = walks.add(scene, read)

    pictures = figures.draw(scene, errors, drawn, analysis, distances, nearest, walked, redrawn)
    curve = figures.learning_curve(settings, served)
    if curve is None:
        results.notes.append(f"The learning curve is left out: {figures.curve_path(settings, served)} is not there.")
    with outputs.reporting(output):
        report.write(output, results, pictures, curve)
    print(results.table())
    print(f"\n{served.path} on {name}: {output}/report.html, evaluation.json and pictures")
    return results


def settings_of_data(settings, served, trained):
    """Returns the `config.DataConfig` of the export's own data, in the shape of its images."""
    fields = {field.name: getattr(trained, field.name) for field in dataclasses.fields(config.DataConfig)}
    height, width, channels = served.image_shape
    fields |= {"image_size": height, "image_width": width if width != height else 0, "channels": channels}
    fields |= {"augment": "none", "batch_size": 1}
    if settings.data_dir:
        fields["data_dir"] = settings.data_dir
    return config.DataConfig(**fields)


def _is_same(name, other):
    """Returns whether two values of --data name the same images."""

    def resolved(data):
        return styles.of(data) or os.path.realpath(config.path_of(data))

    return resolved(name) == resolved(other)


def _load(name, own_settings, served):
    """Returns (the `data.Data` whose test split is measured, the export's own or None, notes).

    Other data than the export's own are a test set as a whole; an image that the export was trained on is left out.

    Args:
        name: What to measure on, as --data names it.
        own_settings: The `config.DataConfig` of the export's own data.
        served: The `serving.Served`.
    """
    extras = served.path / "assets.extra"
    digests = extras / "training_digests.npy"
    trained_on = np.load(digests, allow_pickle=False) if digests.is_file() else None
    if name == own_settings.data:
        images = data.load(own_settings)
        return images, images, _changes(images, trained_on)
    try:
        own = data.load(own_settings)
        notes = _changes(own, trained_on)
    except (config.UserError, OSError) as error:
        own, notes = None, [f"Floors are left out: the export's own data are not there ({str(error).rstrip('.')})."]
    if trained_on is None and own is not None:
        trained_on = own.digests("train")
    if trained_on is None:
        notes.append(
            f"Whether images of {name} were trained on is not known: this export was written before it said so."
        )
    settings = dataclasses.replace(own_settings, data=name, archive="", cache="auto")
    images = data.load_test_set(settings, _deep_values(extras, own), trained_on)
    print("\n".join(images.report.lines()), flush=True)
    return images, own, notes + [f"Of {name} are left out: {line}." for line in images.report.left_out]


def _deep_values(extras, own):
    """Returns the `value_range.ValueRange` of what has more than 8 bits, as it was trained; None: to be looked at."""
    signatures = json.loads((extras / "signatures.json").read_bytes())
    if "black" not in signatures or (own is not None and own.spec.deep_values is None):
        return None  # An export from before it said so, or of images of 8 bits alone.
    return value_range.ValueRange(signatures["black"], signatures["white"])


def _changes(own, trained_on):
    """Returns a note where the export's own data have changed since its training; `trained_on` [n] uint64 or None."""
    if trained_on is None:
        return []
    new = np.count_nonzero(~np.isin(own.digests("train"), trained_on))
    known = sum(np.count_nonzero(np.isin(own.digests(split), trained_on)) for split in ("validation", "test"))
    if not new and not known:
        return []
    return [
        f"The export's own data have changed since its training: {new:,} training images are others, and {known:,} of "
        "the validation and test images were trained on."
    ]


def _trained(served):
    """Returns the `config.TrainConfig` that an export was made with."""
    flags = served.path / "assets.extra" / "flags.cfg"
    if not flags.is_file():
        raise config.UserError(f"--model: {served.path} does not say what it was trained on (no {flags.name}).")
    return commandline.read_flagfile(config.TrainConfig, flags)


def _affordable(settings, served):
    """Returns the settings with no more images than fit into memory several times over."""
    most = max(20, _MOST_BYTES // (4 * math.prod(served.image_shape)))
    if settings.sizes[0] <= most:
        return settings
    print(f"--num_images: {most} of this size are taken, not {settings.sizes[0]}, to keep memory bounded.")
    return dataclasses.replace(settings, num_images=most)


def _train_reader(data_settings):
    images = data.load(data_settings)
    reader = analyst.analyst_for(images, data_settings)
    if reader is None:
        raise config.UserError(f"--reader_only: --data={data_settings.data} has no attributes to read.")
    for kind, shares in reader.reader.accuracy.items():
        print(f"{kind} test images: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))


def _output(settings, served):
    """Returns the folder to write, checked."""
    if settings.output:
        return outputs.check_folder(settings.output, settings.overwrite)
    folder = config.folder("evaluation", "--output")
    with outputs.reporting(folder):
        folder.mkdir(exist_ok=True)
    return outputs.check_folder(folder / f"{served.path.parent.name}-{served.path.name}", settings.overwrite)


def _about(settings, name, trained, served, images, own, test):
    height, width, channels = served.image_shape
    looked_at = f"of the {images.num_test:,} test images {len(test.images):,} are looked at"
    if own is images:
        looked_at = f"{images.num_training:,} to train, {looked_at}"
    way = settings.path if settings.path == "wipe" else " in ".join(settings.way)
    return {
        "model": str(served.path),
        "data": name if own is images else f"{name}, all of it; trained on {trained.data}",
        "images": f"{height} x {width} x {channels}, {looked_at}",
        "floor": "of what the model draws: real images in its place, validation images; of the bound and of "
        "reconstructions: the same model on validation images; of walks: the true renderer's own, where there is one",
        "std": f"{settings.std:g}",
        "new images": f"--sampler={trained.sampler}",
        "walks": f"{way}, {settings.steps} images each",
        "seed": str(settings.seed),
    }
