"""Which export is meant, what is wrong with it, and any number of rows."""

import os
import subprocess
import sys

import image_files
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae import config, serving
from tfvae.data import decode, preprocessing, value_range
from tfvae.serving import image_preprocessing


def version(folder, modified=1):
    """Makes the folder of a version, as far as `find` looks into it."""
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    os.utime(folder / "saved_model.pb", (modified, modified))
    return folder


def test_a_name_means_its_newest_version_and_nothing_the_newest_export(tmp_path):
    versions = [version(tmp_path / "a" / number, modified) for number, modified in (("2", 50), ("9", 60), ("10", 40))]
    other = version(tmp_path / "b" / "1", 55)
    version(tmp_path / "b" / ".tfvae-writing-7", 99)  # An export that is being written.
    (tmp_path / "a" / "11").mkdir()  # A version without a model.
    (tmp_path / "README.md").touch()
    assert serving.find(str(tmp_path / "a")) == versions[2]
    assert serving.find(str(versions[0])) == versions[0]
    assert serving.find("", str(tmp_path)) == versions[1]
    assert serving.find(str(tmp_path / "b"), "elsewhere") == other


@pytest.mark.parametrize(
    ("model", "export_dir", "words"),
    [
        ("", "empty", "no export in .*empty yet; `python -m tfvae.train` makes one"),
        ("", "missing", "no export in .*missing yet"),
        ("missing", "empty", "--model: no such folder: .*missing"),
        ("empty", "empty", "--model must be saved_models/NAME or one version's folder in it, got .*empty"),
        ("file", "empty", "--model must be saved_models/NAME .* got .*file"),
    ],
)
def test_an_export_that_is_not_there_is_one_clear_line(tmp_path, model, export_dir, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(config.UserError, match=words) as error:
        serving.find(model and str(tmp_path / model), str(tmp_path / export_dir))
    assert "\n" not in str(error.value)


def test_what_is_no_export_of_ours_is_one_clear_line(tmp_path):
    class Other(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x):
            return {"y": 2 * x}

    other = Other()
    tf.saved_model.save(other, str(tmp_path / "other"), signatures={"serving_default": other.__call__})
    damaged = version(tmp_path / "damaged")
    (damaged / "saved_model.pb").write_bytes(b"\xffnothing")
    for folder, words in (("other", "is no export of tfvae"), ("damaged", "cannot open"), ("none", "no SavedModel")):
        with pytest.raises(config.UserError, match=words) as error:
            serving.Served(tmp_path / folder)
        assert "\n" not in str(error.value)


def test_any_number_of_rows(exported, random):
    latents = random.normal(size=(150, 4))
    images = exported.served.decode(latents)
    assert images.shape == (150, *exported.vae.image_shape)
    np.testing.assert_allclose(images, exported.vae.decode(latents.astype(np.float32)), atol=1e-5)
    with pytest.raises(ValueError, match="at least one row"):
        exported.served.decode(latents[:0])


def test_it_knows_its_shapes_and_test_images(exported):
    served = exported.served
    assert (served.image_shape, served.latent_dim) == (exported.vae.image_shape, 4)
    pixels = np.stack([served.read(path) for path in served.test_images()])
    np.testing.assert_allclose(pixels, exported.test_images[:16] / 255, atol=1e-6)


def test_a_file_that_is_nearly_black_is_told(exported, tmp_path):
    height, width, _ = exported.served.image_shape
    Image.fromarray(np.full((height, width), 3000, np.uint16)).save(tmp_path / "scan.png")
    with pytest.warns(UserWarning, match="scan.png: it is seen as nearly black"):
        assert exported.served.read(tmp_path / "scan.png").max() < 0.1


def test_a_file_that_cannot_be_read_is_named(exported, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    for name, words in (
        ("notes.txt", "expected an image file, got none that Pillow reads"),
        ("missing.png", "No such file"),
        ("", "Is a directory"),
    ):
        with pytest.raises(config.UserError, match=f"{name}.*{words}"):
            exported.served.read(tmp_path / name)


def test_what_the_export_refuses_is_prepared_by_pillow(exported, tmp_path):
    cmyk = image_files.saved(image_files.cmyk(40, 50), "JPEG")
    at = cmyk.index(b"\xff\xee\0\x0eAdobe")
    contents = {"cmyk.jpg": cmyk[:at] + cmyk[at + 16 :], "moving.webp": image_files.FILES["moving-lossless.webp"]}
    spec = preprocessing.spec_of(exported.settings, exported.served.image_shape, image_preprocessing.DEEP)
    for name, content in (contents | {"deep.tif": image_files.FILES["deep.tif"]}).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(tf.errors.InvalidArgumentError, match="; send PNG"):
            exported.served.prepare_bytes([content])
        with decode.limits(10**6):
            expected = preprocessing.prepare(decode.open_image(content, 10**6, spec.shape[:2]), spec)
        np.testing.assert_array_equal(exported.served.read(tmp_path / name), expected / np.float32(255))


def test_an_export_that_does_not_say_how_it_prepares_gets_png(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(exported.served, "_image_spec", None)
    for name in ("rgb.png", "transparent.gif"):
        (tmp_path / name).write_bytes(image_files.FILES[name])
        assert exported.served.read(tmp_path / name).shape == exported.served.image_shape
    (tmp_path / "half.png").write_bytes(image_files.BROKEN["truncated.png"])
    with pytest.raises(config.UserError, match="half.png: expected a whole image file"):
        exported.served.read(tmp_path / "half.png")


def test_seeds_number_the_images():
    assert serving.seeds(7, 3, 5).tolist() == [[7, 3], [7, 4]]
    assert serving.seeds(2**31 - 1, 0, 1).dtype == np.int32


def test_the_exports_own_test_images_are_read_as_they_are(exported, tmp_path, monkeypatch):
    served = exported.served
    path = served.test_images()[0]
    (tmp_path / "copy.png").write_bytes(path.read_bytes())
    expected = exported.test_images[0] / np.float32(255)
    np.testing.assert_allclose(served.read(path), expected, atol=1e-6)
    spec = served._image_spec._replace(values=value_range.ValueRange(0, 100))
    monkeypatch.setitem(served.__dict__, "_image_spec", spec)
    monkeypatch.setattr(served, "prepare_bytes", lambda contents: preprocessing_of(contents[0], spec)[None])
    np.testing.assert_allclose(served.read(path), expected, atol=1e-6)
    assert np.abs(served.read(tmp_path / "copy.png") - expected).max() > 0.1


def preprocessing_of(content, spec):
    with decode.limits(1_000_000):
        return preprocessing.prepare(decode.open_image(content, 1_000_000, spec.shape[:2]), spec) / np.float32(255)


@pytest.mark.parametrize("exported", ["matching", "mixture", "colour"], indirect=True)
def test_a_process_that_compiles_by_itself_draws_the_same_images(exported, tmp_path):
    code = (
        "import sys, numpy\n"
        "from tfvae import serving\n"
        "served = serving.Served(sys.argv[1])\n"
        "images, latents = served.generate(serving.seeds(3, 0, 8), 0.8)\n"
        "numpy.savez(sys.argv[2], images=images, latents=latents)"
    )
    flags = {"TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit --tf_xla_min_cluster_size=1"}
    command = [sys.executable, "-c", code, exported.served.path, tmp_path / "drawn.npz"]
    subprocess.run(command, env=os.environ | flags, check=True, timeout=300, capture_output=True)
    images, latents = exported.served.generate(serving.seeds(3, 0, 8), 0.8)
    with np.load(tmp_path / "drawn.npz") as drawn:
        np.testing.assert_allclose(drawn["latents"], latents, atol=1e-3)
        np.testing.assert_allclose(drawn["images"], images, atol=1e-3)
