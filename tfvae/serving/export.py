"""A model written as a SavedModel: temporary name, flushed to disk, renamed to the next version."""

import json
import os
import pathlib
import re
import shutil

import keras
import numpy as np
import tensorflow as tf

from tfvae import commandline, config, files, locks, pictures
from tfvae.data import preprocessing
from tfvae.serving import card, image_preprocessing, warmup
from tfvae.serving.signatures import signatures

MOST_TEST_IMAGES = 16


def export(vae, settings, base_dir, test_images, keep_versions=0, sampler=None, spec=None, digests=None):
    """Writes `base_dir/VERSION/`, one more than the largest version there.

    The SavedModel holds only what its signatures use: no optimizer, no averages, no Python code. Beside it,
    `assets.extra/` has what its users need: `signatures.json`, `model_card.md`, `flags.cfg` (the settings), digests of
    the training images (`training_digests.npy`), a few test images and, where tensorflow-serving-api is installed,
    warm-up requests for TensorFlow Serving.

    Args:
        vae: A `tfvae.VAE`; the weights are taken as they are.
        settings: The `config.TrainConfig` it was trained with.
        base_dir: The folder of this model's versions, such as `saved_models/avatars`; made where it is missing.
        test_images: uint8 [n, H, W, C], kept as examples; at most 16 of them.
        keep_versions: Newest versions that stay, this one included; older ones are deleted once it is in place. 0: all.
        sampler: What codes are drawn from and walks go through, as for `signatures`; None for the model's prior.
        spec: The `preprocessing.ImageSpec` of the training images; None: what the settings alone say.
        digests: uint64 [n], of the training images; None: not kept.

    Returns:
        The `pathlib.Path` of the new version's folder.

    Raises:
        config.UserError: If the folder cannot be written.
    """
    base = pathlib.Path(base_dir)
    temporary = base / f".tfvae-writing-{os.getpid()}"  # No number: TensorFlow Serving does not look into it.
    try:
        base.mkdir(parents=True, exist_ok=True)
        locks.remove_leftovers(base, r"\.tfvae-(writing|deleting-\d+)-(?P<process>\d+)")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            with locks.folder_held(temporary):
                spec = spec or preprocessing.spec_of(settings, tuple(vae.image_shape))
                functions = signatures(vae, spec, settings.max_pixels, sampler, settings.way)
                described = _write_saved_model(functions, temporary)
                text = card.text(vae, settings, base.name, described, sampler, spec)
                extras = temporary / "assets.extra"
                _write_extras(vae, settings, spec, text, described, test_images, extras)
                if digests is not None:
                    np.save(extras / "training_digests.npy", np.asarray(digests, np.uint64))
                _flush(temporary)
                version = _publish(temporary, base)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:  # TensorFlow has errors of its own for a full disk.
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", " ".join(reason.split())).strip()
        raise config.UserError(f"--export_dir: cannot write {base}: {reason}.") from error
    if keep_versions:
        _delete_old(version, keep_versions)
    return version


def _write_saved_model(functions, folder):
    """Writes the SavedModel and returns its signatures as plain dictionaries: shapes, and names of types."""
    archive = keras.export.ExportArchive()
    described = {}
    for name, (function, parameters) in functions.items():
        # Variables are found by tracing: tracking the whole model would add the optimizer's and the averages.
        outputs = archive.add_endpoint(name, function, parameters).get_concrete_function().structured_outputs
        described[name] = {
            "inputs": {parameter.name: _plain(parameter) for parameter in parameters},
            "outputs": {key: _plain(outputs[key]) for key in sorted(outputs)},
        }
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # It would tell the temporary name.
    try:
        archive.write_out(os.fspath(folder), verbose=False)
    finally:
        logger.setLevel(level)
    return described


def _plain(spec):
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def _write_extras(vae, settings, spec, model_card, described, test_images, folder):
    folder.mkdir(exist_ok=True)
    contents = {
        "image_shape": list(vae.image_shape),
        "latent_dim": vae.latent_dim,
        **image_preprocessing.described(spec, settings.max_pixels),
        "background": settings.background,
        "signatures": described,
    }
    (folder / "signatures.json").write_text(json.dumps(contents, indent=1) + "\n")
    (folder / "flags.cfg").write_text(commandline.flagfile(settings))
    (folder / "model_card.md").write_text(model_card)
    (folder / "test_images").mkdir()
    for number, image in enumerate(test_images[:MOST_TEST_IMAGES]):
        pictures.save(pictures.single(image), folder / "test_images" / f"{number:02d}.png")
    if not warmup.write(described, vae.image_shape, folder / "tf_serving_warmup_requests"):
        print("No warm-up requests in the export: these need tensorflow-serving-api (pip install 'tfvae[serving]').")


def _flush(folder):
    """Waits until all files of `folder` are on the disk, so that no crash leaves a version with half of them."""
    for path in [folder, *folder.rglob("*")]:
        files.flush(path)


def versions(base):
    """Returns the version numbers in the folder `base`, ascending."""
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdecimal())


def _publish(temporary, base):
    while True:
        version = base / str(max(versions(base), default=0) + 1)
        try:
            temporary.rename(version)
            break
        except OSError:
            if not version.exists():
                raise  # Else another export took this number in between.
    files.flush(base)
    return version


def _delete_old(newest, keep):
    """Deletes the oldest versions beside `newest` until `keep` are left, and says what could not be deleted."""
    numbers = [number for number in versions(newest.parent) if number <= int(newest.name)]
    # A folder with a number but no model in it is somebody else's, and so is what a link points to.
    older = [path for path in (newest.parent / str(number) for number in numbers) if _is_model(path) and path != newest]
    for path in older[: max(0, len(older) - keep + 1)]:
        # Renamed first, at once: a server never sees half a version.
        leaving = path.with_name(f".tfvae-deleting-{path.name}-{os.getpid()}")
        try:
            path.rename(leaving)
            shutil.rmtree(leaving)
        except OSError as error:
            print(f"--keep_versions: cannot delete {path}: {error.strerror or error}.")


def _is_model(path):
    return (path / "saved_model.pb").is_file() and not path.is_symlink()
