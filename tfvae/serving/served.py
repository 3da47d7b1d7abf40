"""An export opened and called: NumPy in, NumPy out, any number of images in bounded memory.

Everything goes through the SavedModel's signatures, the ones that TensorFlow Serving answers; no model code is needed.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvae.config import DataConfig, UserError, path_of, walks
from tfvae.data import decode, preprocessing
from tfvae.serving import image_preprocessing
from tfvae.serving.paths import Maps, walked

_BATCH = 64  # Images in one call.
_DARK = 0.1  # Images without a brighter number are told.
_NEEDED = ("reconstruct", "encode", "decode", "generate_bytes", "interpolate", "prepare_bytes")


class Posterior(NamedTuple):
    """q(z|x) = N(mean, diag(exp(log_variance)))."""

    mean: np.ndarray  # [N, Z]
    log_variance: np.ndarray  # [N, Z]


class LogProb(NamedTuple):
    """What the model says of an image x with a code z."""

    log_likelihood: np.ndarray  # [N] log p(x|z), nats, summed over H, W and C
    log_prior: np.ndarray  # [N] log p(z), nats
    squared_error: np.ndarray  # [N] of the expected image, summed over H, W and C


def _is_version(folder):
    return (folder / "saved_model.pb").is_file()


def _versions(folder):
    """Returns the folders of the versions in `folder`, the newest last."""
    found = [path for path in folder.iterdir() if path.name.isdecimal() and _is_version(path)]
    return sorted(found, key=lambda path: int(path.name))


def find(model="", export_dir="saved_models"):
    """Returns the folder of one export's version.

    Args:
        model: A folder with versions (the newest is taken), or one version's folder; empty: the newest export.
        export_dir: The folder in which the newest export is looked for.

    Raises:
        UserError: If there is none.
    """
    if not model:
        folder = path_of(export_dir)
        names = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        exports = [version for name in names for version in _versions(name)]
        if not exports:
            raise UserError(f"--export_dir: no export in {folder} yet; `python -m tfvae.train` makes one.")
        return max(exports, key=lambda path: ((path / "saved_model.pb").stat().st_mtime_ns, int(path.name)))
    folder = path_of(model)
    if not folder.exists():
        raise UserError(f"--model: no such folder: {folder}.")
    if folder.is_dir():
        if _is_version(folder):
            return folder
        exports = _versions(folder)
        if exports:
            return exports[-1]
    raise UserError(f"--model must be saved_models/NAME or one version's folder in it, got {folder} (not an export).")


class Served:
    """An export, ready to answer.

    Args:
        path: One version's folder, as `find` returns it.

    Attributes:
        path: The folder.
        image_shape: (H, W, C).
        latent_dim: Z.

    Raises:
        UserError: If the folder holds no SavedModel, or one that is no export of this package.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not _is_version(self.path):
            raise UserError(f"--model: no SavedModel in {self.path}.")
        try:
            self._loaded = tf.saved_model.load(str(self.path))  # Kept: it owns the weights.
        except Exception as error:  # A damaged file can raise nearly anything in there.
            # The first sentence: advice to programmers follows.
            reason = re.split(r"(?<=[.!?])\s", str(error).strip() or type(error).__name__)[0]
            raise UserError(f"--model: cannot open {self.path}: {reason[:200]}") from error
        self._signatures = self._loaded.signatures
        missing = [name for name in _NEEDED if name not in self._signatures]
        if missing:
            raise UserError(f"--model: {self.path} is no export of tfvae: it has no signature {missing[0]!r}.")
        try:
            height, width, channels = self._inputs("reconstruct")["images"].shape[1:]
            self.image_shape, self.latent_dim = (height, width, channels), self._inputs("decode")["latents"].shape[-1]
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"--model: {self.path} is no export of tfvae: its signatures take something else."
            ) from None

    def _inputs(self, name):
        return self._signatures[name].structured_input_signature[1]

    def call(self, name, **inputs):
        """Calls the signature `name` in batches.

        Args:
            name: The signature.
            **inputs: Arrays or lists, each with one row an image and at least one row, under the signature's names.

        Returns:
            {output name: array with one row an image}; strings are arrays of bytes objects.

        Raises:
            tf.errors.InvalidArgumentError: If shapes do not fit or an image file cannot be decoded.
        """
        specs = self._inputs(name)
        inputs = {key: np.asarray(value, specs[key].dtype.as_numpy_dtype) for key, value in inputs.items()}
        number = len(next(iter(inputs.values())))
        if not number:  # TensorFlow's convolutions are not made for it.
            raise ValueError(f"Expected at least one row for {name!r}, got none.")
        batches = []
        for start in range(0, number, _BATCH):
            rows = {key: tf.constant(value[start : start + _BATCH], specs[key].dtype) for key, value in inputs.items()}
            batches.append({key: value.numpy() for key, value in self._signatures[name](**rows).items()})
        return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

    def has(self, name):
        """Returns whether the export has the signature `name`: older ones have fewer."""
        return name in self._signatures

    def prepare_bytes(self, image_bytes):
        """Returns what the model sees of image files: [N, H, W, C] in [0, 1]."""
        return self.call("prepare_bytes", image_bytes=image_bytes)["images"]

    def read(self, path):
        """Returns what the model sees of the image file `path`, [H, W, C] in [0, 1]; UserError where it cannot.

        The export itself prepares PNG and JPEG files; Pillow, in the same way, other files and what it refuses.
        """
        image = self._read(path)
        if image[..., :3].max() < _DARK:
            words = "it is seen as nearly black; of files of more than 8 bits, white is what it was in training"
            warnings.warn(f"{path}: {words}", stacklevel=2)
        return image

    def _read(self, path):
        if (spec := self._image_spec) is None:
            return self._read_as_png_or_jpeg(path)
        most = DataConfig.max_pixels
        is_prepared = spec.values is not None and pathlib.Path(path) in self.test_images()
        spec = spec._replace(values=None) if is_prepared else spec  # --black and --white were heeded already.
        try:
            contents = pathlib.Path(path).read_bytes()
            if contents.startswith(decode.PNG_OR_JPEG) and not is_prepared:
                with contextlib.suppress(tf.errors.InvalidArgumentError):
                    return self.prepare_bytes([contents])[0]
            with decode.limits(most):
                pixels = preprocessing.prepare(decode.open_image(os.fsdecode(path), most, spec.shape[:2]), spec)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}.") from None
        except ValueError as error:
            raise UserError(f"{path}: {error}.") from None
        return pixels.astype(np.float32) / np.float32(255)

    def _read_as_png_or_jpeg(self, path):
        """As `read`, with an export before 0.2, which does not say how it prepares files."""
        try:
            return self.prepare_bytes([decode.as_png_or_jpeg(path)])[0]
        except tf.errors.InvalidArgumentError as error:
            reason = re.search(r"image_bytes\[0\]: ([^\]\n]*)", error.message)
            raise UserError(f"{path}: {reason[1] if reason else 'not an image that can be decoded'}.") from None

    @functools.cached_property
    def _image_spec(self):
        """How image files are prepared; None where the export does not say it."""
        try:
            contents = json.loads((self.path / "assets.extra" / "signatures.json").read_text())
            return image_preprocessing.described_spec(contents)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def test_images(self):
        """Returns the paths of the test images that came with the export."""
        return sorted((self.path / "assets.extra" / "test_images").glob("*.png"))

    def reconstruct(self, images):
        """Returns reconstructions from posterior means, [N, H, W, C], of images [N, H, W, C] in [0, 1]."""
        return self.call("reconstruct", images=images)["reconstructions"]

    def reconstruct_bytes(self, image_bytes):
        """Returns reconstructions as PNG files, [N] bytes, of image files."""
        return self.call("reconstruct_bytes", image_bytes=image_bytes)["reconstruction_bytes"]

    def encode(self, images):
        """Returns the `Posterior` of images [N, H, W, C] in [0, 1]."""
        return Posterior(**self.call("encode", images=images))

    def encode_bytes(self, image_bytes):
        """Returns the `Posterior` of image files."""
        return Posterior(**self.call("encode_bytes", image_bytes=image_bytes))

    def decode(self, latents):
        """Returns images [N, H, W, C] of latents [N, Z]."""
        return self.call("decode", latents=latents)["images"]

    def decode_bytes(self, latents):
        """Returns PNG files, [N] bytes, of latents [N, Z]."""
        return self.call("decode_bytes", latents=latents)["image_bytes"]

    def generate(self, seed, std):
        """Returns new images [N, H, W, C] and their latents [N, Z]; see `seeds` for the seed, int32 [N, 2]."""
        answer = self.call("generate", seed=seed, std=np.broadcast_to(std, len(seed)))
        return answer["images"], answer["latents"]

    def generate_bytes(self, seed, std):
        """Returns new images as PNG files, [N] bytes, and their latents [N, Z]."""
        answer = self.call("generate_bytes", seed=seed, std=np.broadcast_to(std, len(seed)))
        return answer["image_bytes"], answer["latents"]

    def interpolate(self, images_a, images_b, weight):
        """Returns the images at `weight` [N] (0: a, 1: b) of the walk from images a to images b [N, H, W, C]."""
        return self.call("interpolate", images_a=images_a, images_b=images_b, weight=weight)["images"]

    def interpolate_bytes(self, image_bytes_a, image_bytes_b, weight):
        """Returns PNG files, [N] bytes, at `weight` [N] of the walk between image files."""
        answer = self.call("interpolate_bytes", image_bytes_a=image_bytes_a, image_bytes_b=image_bytes_b, weight=weight)
        return answer["image_bytes"]

    def to_base(self, latents):
        """Returns the Gaussian noise [N, Z] of std 1 that the sampler makes latents [N, Z] of."""
        return self.call("to_base", latents=latents)["noise"]

    def from_base(self, noise):
        """Returns the latents [N, Z] that the sampler makes of Gaussian noise [N, Z] of std 1."""
        return self.call("from_base", noise=noise)["latents"]

    def log_prob(self, images, latents):
        """Returns the `LogProb` of images [N, H, W, C] in [0, 1] with latents [N, Z].

        Raises:
            UserError: If the export was written before there was such a signature.
        """
        if not self.has("log_prob"):
            raise UserError(f"--model: {self.path} has no signature 'log_prob'; export the run again.")
        return LogProb(**self.call("log_prob", images=images, latents=latents))

    def sampler_log_prob(self, latents):
        """Returns log p(z) in nats, [N], of latents [N, Z], under the density that `generate` draws from at std 1."""
        return self.call("sampler_log_prob", latents=latents)["log_prob"]

    def walk(self, start, end, steps, path="wipe", space="base"):
        """Returns the images [steps, H, W, C] from image `start` to `end` [H, W, C]; both ends are reconstructions.

        Args:
            start: The first image.
            end: The last one.
            steps: How many images, both ends included.
            path: "wipe", from the top down through images (`paths.wiped`); or "spherical" or "linear", through points.
            space: Where these points are: in "base", the sampler's Gaussian noise, where a spherical path stays among
                what it draws; or "latent".

        Raises:
            UserError: If the export is too old for this path and space.
            ValueError: If there is no such path or space, or there are fewer than two steps.
        """
        if path not in walks.PATHS or space not in walks.SPACES or steps < 2:
            raise ValueError(f"expected at least 2 steps and a known path and space, got {steps}, {path!r}, {space!r}")
        weights = np.linspace(0.0, 1.0, steps, dtype=np.float32)
        means = self.encode([start, end]).mean
        if path != "wipe" and space == "base" and not self.has("from_base"):
            raise UserError(
                f"--path={path} --space=base: {self.path} was exported before there was such a walk; "
                "`python -m tfvae.export` exports its run again."
            )
        maps = Maps(lambda images: self.encode(images).mean, self.decode, self.to_base, self.from_base)
        latents = np.array(walked(means[:1], means[1:], weights, (path, space), maps))
        latents[[0, -1]] = means
        return self.decode(latents)


def open_export(settings):
    """Returns the `Served` that `config.ServedConfig` names."""
    return Served(find(settings.model, settings.export_dir))


def seeds(seed, start, stop):
    """Returns the seeds int32 [stop - start, 2] of the images number `start` to `stop` - 1 of `seed`."""
    numbers = np.arange(start, stop, dtype=np.int32)
    return np.stack([np.full_like(numbers, seed), numbers], axis=1)
