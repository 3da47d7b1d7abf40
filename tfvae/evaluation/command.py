"""`python -m tfvae.evaluate`, top-down: an export and its data in, numbers, pictures and a page out."""

import dataclasses
import math

from tfvae import commandline, config, data, outputs, serving
from tfvae.evaluation import analyst, bound, figures, memorisation, reconstruction, report, samples, walks
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
    data_settings = settings_of_data(settings, served)
    if settings.reader_only:
        return _train_reader(data_settings)
    output = _output(settings, served)
    images = data.load(data_settings)
    if images.num_test < 2:
        raise config.UserError(f"--data={data_settings.data}: expected at least 2 test images, got {images.num_test}.")
    settings = _affordable(settings, served)
    reader = analyst.analyst_for(images, data_settings)
    trained, count = _trained(served), settings.sizes[0]
    test, other = (scenes.hold(served, images, split, count) for split in ("test", "validation"))
    results = Results(_about(settings, data_settings, trained, served, images, test))
    results.details["settings"] = dataclasses.asdict(settings)
    if trained.sampler != "prior":
        results.notes.append(
            f"New images are drawn through --sampler={trained.sampler}; elbo, rate and log p(x) are those of the prior "
            "that the model was trained with."
        )
    scene = scenes.Scene(served, settings, images, test, other, reader, results)

    bound.add(scene)
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
    print(f"\n{served.path} on {data_settings.data}: {output}/report.html, evaluation.json and pictures")
    return results


def settings_of_data(settings, served):
    """Returns the `config.DataConfig` of the images to measure on: the export's, but for what `settings` says."""
    trained = _trained(served)
    fields = {field.name: getattr(trained, field.name) for field in dataclasses.fields(config.DataConfig)}
    height, width, channels = served.image_shape
    fields |= {"image_size": height, "image_width": width if width != height else 0, "channels": channels}
    fields |= {"augment": "none", "batch_size": 1}
    if settings.data:
        fields |= {"data": settings.data, "archive": fields["archive"] if settings.data == fields["data"] else ""}
    if settings.data_dir:
        fields["data_dir"] = settings.data_dir
    return config.DataConfig(**fields)


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


def _about(settings, data_settings, trained, served, images, test):
    height, width, channels = served.image_shape
    way = settings.path if settings.path == "wipe" else " in ".join(settings.way)
    return {
        "model": str(served.path),
        "data": data_settings.data,
        "images": f"{height} x {width} x {channels}, {images.num_training:,} to train, of the {images.num_test:,} test "
        f"images {len(test.images):,} are looked at",
        "floor": "of what the model draws: real images in its place, validation images; of the bound and of "
        "reconstructions: the same model on validation images; of walks: the true renderer's own, where there is one",
        "std": f"{settings.std:g}",
        "new images": f"--sampler={trained.sampler} --refine={trained.refine} --candidates={trained.candidates}",
        "walks": f"{way}, {settings.steps} images each",
        "seed": str(settings.seed),
    }
