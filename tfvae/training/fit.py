"""A training, from settings to an exported model."""

import dataclasses
import functools
import json
import math
import sys

import keras
import numpy as np
import tensorflow as tf

from tfvae import config, data, evaluation, files, model, samplers, serving
from tfvae.data import preprocessing
from tfvae.model import schedules
from tfvae.training import callbacks, checkpoints, collapse, failures, runs


def fit(settings):
    """Trains a VAE as the settings say, keeps everything about it in its run folder, and exports it.

    Args:
        settings: A `config.TrainConfig`.

    Returns:
        The folder of the exported SavedModel, a `pathlib.Path`; None where Ctrl-C or SIGTERM ended the training.

    Raises:
        config.UserError: If the settings, the data or the folders are not usable, or the loss is not finite.
    """
    folder = runs.folder_of(settings)
    if not settings.resume:  # Else the run has recorded another one, perhaps.
        config.folder(settings.export_dir, "--export_dir")
    try:
        with runs.locked(folder):
            if settings.resume:
                settings = runs.resume(settings, folder)
            else:
                runs.start(settings, folder)
            return _fit(settings, folder, config.folder(settings.export_dir, "--export_dir") / settings.run_name)
    except OSError as error:  # A full disk, say; what was written before it is whole.
        where = f": {error.filename}" if error.filename else ""
        raise config.UserError(
            f"{folder}: cannot go on: {error.strerror or error}{where}; once that is mended, --resume continues."
        ) from error


def _fit(settings, folder, export_base):
    try:
        images = data.load(settings)
        _check_shares(images)
        vae = _compiled(settings, images.image_shape, images.steps_per_epoch)
    except BaseException as error:
        if not settings.resume:
            runs.forget(folder)
        if isinstance(error, OSError):
            raise config.UserError(f"--data={settings.data}: {error}") from error
        raise
    print("\n".join(images.report.lines()), flush=True)
    (folder / "checkpoints").mkdir(exist_ok=True)  # Now: what is in its place is told before an epoch's work.
    runs.keep_data(folder, images)
    step = checkpoints.restore(vae, folder / "checkpoints") if settings.resume else 0
    checkpoints.set_aside_after(folder / "checkpoints", step)
    print(
        f"{folder}: {images.num_training:,} training images {'x'.join(map(str, images.image_shape))}, "
        f"{vae.count_params():,} weights, steps {step:,} to {settings.epochs * images.steps_per_epoch:,}; "
        f"pictures of each epoch in {folder / 'pictures'}",
        flush=True,
    )
    try:
        with failures.of_the_pipeline(settings):
            _train(vae, images, settings, folder, step)
    except callbacks.Interrupted:
        print(f"stopped with a checkpoint; --resume --name={settings.run_name} goes on from it", file=sys.stderr)
        return None
    with vae.averaged_weights():
        numbers = evaluation.measure(vae, images.test)
        print("on the test images: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()), flush=True)
        sampler = samplers.make(vae, settings, lambda: images)
        kept = runs.test_images(folder, lambda: runs.keep_data(folder, images))
        version = serving.export(
            vae, settings, export_base, kept, settings.keep_versions, sampler, images.spec, images.digests("train")
        )
    # The last: where it is, the run is finished; without it, --resume measures and exports.
    files.write(folder / "test.json", json.dumps(numbers, indent=2) + "\n")
    print(f"exported: {version}", flush=True)
    return version


def export_run(settings):
    """Exports the last checkpoint of a run, with its averaged weights, as the next version.

    Args:
        settings: A `config.ExportConfig`.

    Returns:
        The folder of the SavedModel, a `pathlib.Path`.

    Raises:
        config.UserError: If there is no such run, it has no checkpoint, the sampler needs data that are not there,
            or --space does not suit the path.
    """
    name = settings.name or runs.newest(settings.runs_dir)
    folder, recorded = runs.read(config.TrainConfig, settings.runs_dir, name)
    as_trained = {"sampler": "as_trained", "path": "as_trained", "space": ""}
    given = {name: getattr(settings, name) for name in as_trained if getattr(settings, name) != as_trained[name]}
    if "path" in given:  # The run's own space may be of no use to another path.
        given.setdefault("space", "")
    if given.get("sampler", "mixture") != "mixture" and recorded.prior != "mixture":  # Nor its number of Gaussians.
        given["components"] = config.ModelConfig.components
    recorded = dataclasses.replace(recorded, **given)
    load = functools.partial(_kept_data, recorded, folder)
    test_images = runs.test_images(folder, load)
    vae = _compiled(recorded, test_images.shape[1:], steps_per_epoch=1)
    if not checkpoints.restore(vae, folder / "checkpoints"):
        raise config.UserError(f"{folder} has no checkpoint yet.")
    with vae.averaged_weights():
        base = config.folder(settings.export_dir, "--export_dir") / name
        try:
            sampler = samplers.make(vae, recorded, load)
        except config.UserError as error:
            if "sampler" in given:
                raise
            print(f"goes on with --sampler=prior: {error}", file=sys.stderr)
            recorded = dataclasses.replace(recorded, sampler="prior")
            sampler = vae.prior
        deep_values, digests = runs.prepared_with(folder)
        spec = preprocessing.spec_of(recorded, test_images.shape[1:], deep_values)
        return serving.export(vae, recorded, base, test_images, settings.keep_versions, sampler, spec, digests)


def _kept_data(settings, folder):
    """Returns the data that a run was trained on; UserError where they have changed or are gone."""
    try:
        images = data.load(settings)
        runs.keep_data(folder, images)
    except config.UserError as error:
        raise config.UserError(f"the data of {folder} are needed for this: {error}") from None
    return images


def _compiled(settings, image_shape, steps_per_epoch):
    """Returns the model that the settings describe, with its optimizer, all variables made."""
    vae = model.build(settings, image_shape, steps_per_epoch, ema=settings.ema, seed=settings.seed)
    rate = schedules.learning_rate(settings.lr, settings.lr_end, settings.epochs * steps_per_epoch)
    jit, steps = settings.jit, settings.steps_per_execution
    if tf.distribute.has_strategy() and (jit or steps > 1):
        without = "--jit=false --steps_per_execution=1"
        print(f"a strategy runs neither compiled steps nor several at once: goes on with {without}", file=sys.stderr)
        jit, steps = False, 1
    vae.compile(optimizer=keras.optimizers.Adam(rate), jit_compile=jit, steps_per_execution=steps)
    vae.optimizer.build(vae.trainable_variables)
    return vae


def _check_shares(images):
    """Raises UserError where the devices of a strategy would have unlike shares of a batch: Keras adds up the first."""
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    if devices == 1:
        return
    for split in ("training", "validation", "test"):
        size = getattr(images, split).element_spec[-1].shape[0]
        if size % devices:
            expected = f"expected {split} batches of a multiple of {devices}, got {size}"
            raise config.UserError(f"under a strategy of {devices} devices: {expected}.")


def _largest_divisor(number, limit):
    return next(divisor for divisor in range(limit, 0, -1) if number % divisor == 0)


def _train(vae, images, settings, folder, step):
    """Runs `fit` from `step` to the end: first what is left of an epoch that was begun, then all whole ones."""
    steps = images.steps_per_epoch
    epoch, within = divmod(step, steps)
    # An epoch, and what is left of one, has to be a whole number of executions: `fit` would go on into the next.
    asked = vae.steps_per_execution
    vae.steps_per_execution = _largest_divisor(math.gcd(steps, within), asked)
    if vae.steps_per_execution < asked:
        whole = f"an epoch of {steps:,} steps" + f", {within:,} of them done," * (within > 0)
        at_once = vae.steps_per_execution
        print(f"--steps_per_execution={at_once}, not {asked}: {whole} is no whole number of those", file=sys.stderr)
    seen = [variable.numpy() for tracker in vae.metrics for variable in tracker.variables]
    examples = images.images("validation", images.spread("validation", callbacks.RECONSTRUCTIONS))
    with callbacks.Progress(folder, step, steps, settings.checkpoint_minutes) as progress:
        examples = tf.constant(examples.astype(np.float32) / 255)
        records = callbacks.Records(folder, examples, progress, epoch, steps, settings)
        # Records before progress: a checkpoint at an epoch's end says that the epoch has been recorded.
        beside = [callbacks.AveragedValidation(), collapse.Collapse(examples, settings), records, progress]

        def run(first, last, from_step, num_steps, more=()):
            vae.fit(
                images.training_from(from_step),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=num_steps,
                validation_data=images.validation,
                callbacks=[*more, *beside],
                shuffle=False,  # The pipeline has done it.
                verbose=1 if sys.stdout.isatty() else 2,
            )

        if not step:
            records.draw_first_batch(next(iter(images.training))[0].numpy())
        if within:
            run(epoch, epoch + 1, step, steps - within, [callbacks.RestoredMetrics(seen)])
            epoch += 1
        if epoch < settings.epochs:
            run(epoch, settings.epochs, epoch * steps, steps)
