"""Settings and images at which numbers explode or vanish: each trains, or says in one line why it cannot."""

import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae import config, data, training
from tfvae.model.posteriors import DiagonalGaussian
from tfvae.training import checkpoints, collapse

LIKELIHOODS = ("gaussian", "gaussian_optimal", "gaussian_fixed", "bernoulli", "logistic")


@pytest.fixture
def trains(make, no_export, tmp_path):
    """A function that trains for an epoch; returns "" or the one line with which that ended."""

    def train(**others):
        settings = make(**{"epochs": 1, **others})
        try:
            training.fit(settings)
        except config.UserError as error:
            assert "\n" not in str(error)
            return str(error)
        vae = training.fit.__globals__["_compiled"](settings, _shape(settings), 5)
        assert checkpoints.restore(vae, tmp_path / "runs_dir" / settings.name / "checkpoints") > 0
        assert all(np.isfinite(weight).all() for weight in vae.get_weights())
        return ""

    return train


def _shape(settings):
    return (*settings.height_and_width, settings.channels or 3)


def arrays(tmp_path, images, name="images"):
    np.save(tmp_path / f"{name}.npy", images)
    return str(tmp_path / f"{name}.npy")


@pytest.mark.parametrize(
    "others",
    [
        {"lr": 10.0, "lr_end": 10.0, "likelihood": "gaussian"},
        {"lr": 10.0, "lr_end": 10.0, "likelihood": "logistic", "prior": "flow"},
        {"objective": "beta", "beta": 1e9},
        {"objective": "beta", "beta": 1e9, "prior": "flow"},
        {"objective": "free_bits", "free_bits": 1e6},
    ],
    ids=str,
)
def test_large_settings_train_or_say_why_not(trains, others):
    said = trains(**others)
    assert said == "" or "Try a lower --lr" in said


@pytest.mark.parametrize(
    ("kind", "likelihood"), [("one image", "gaussian"), *(("black", likelihood) for likelihood in LIKELIHOODS)]
)
def test_images_without_any_difference_train(trains, tmp_path, likelihood, kind):
    one = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8) * (kind == "one image")
    images = arrays(tmp_path, np.repeat(one, 100, axis=0))
    assert trains(data=images, likelihood=likelihood, lr=0.01, lr_end=0.01) == ""


def test_too_few_images_say_how_many_are_needed(trains, tmp_path):
    image = np.zeros((1, 8, 8, 3), np.uint8)
    for count in (1, 2):
        said = trains(data=arrays(tmp_path, np.repeat(image, count, axis=0), f"{count}"), batch_size=1)
        assert "expected" in said and "got" in said
    assert trains(data=arrays(tmp_path, np.repeat(image, 3, axis=0), "3"), batch_size=1) == ""


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_pixels_that_are_no_numbers_are_named(trains, tmp_path, value):
    images = np.zeros((20, 8, 8, 3), np.float32)
    images[7, 2, 3, 1] = value
    assert f"expected finite numbers, got {value} in image 7." in trains(data=arrays(tmp_path, images))


def test_one_latent_and_thousands(trains):
    assert trains(latent_dim=1) == ""
    assert "--latent_dim must be at least 2 for --prior=flow, got 1" in trains(latent_dim=1, prior="flow", name="flow")
    assert trains(latent_dim=4096, name="many") == ""


def test_the_smallest_and_the_largest_image(trains):
    assert trains(image_size=8) == ""
    assert trains(image_size=512, name="large", batch_size=4, network="convolutional", ema=0.0) == ""


def test_images_a_thousand_times_as_long_as_wide(trains, tmp_path):
    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(10):
        Image.new("RGB", (4000, 4) if number % 2 else (4, 4000), (number * 20, 99, 0)).save(folder / f"{number}.png")
    for fit in ("crop", "pad", "stretch"):
        loaded = data.load(config.DataConfig(data=str(folder), image_size=8, batch_size=2, fit=fit))
        assert loaded.images("train").shape[1:] == (8, 8, 3)
    assert trains(image_size=8, image_width=512, name="wide", network="convolutional") == ""


def test_active_units_are_those_whose_means_tell_images_apart():
    means = np.zeros((8, 4), np.float32)
    means[:, 1] = np.linspace(-1, 1, 8)
    means[:, 2] = np.linspace(-0.01, 0.01, 8)
    variances = np.array([1.0, 0.01, 1.0, 1.0], np.float32)
    posterior = DiagonalGaussian(tf.constant(means), tf.math.log(tf.constant(variances) * tf.ones([8, 4])))
    assert int(collapse.active_units(posterior)) == 1
    # Under a learned prior the scale of the latents is free: the same posterior in other units.
    scaled = DiagonalGaussian(posterior.mean * 1e-3, posterior.log_variance + 2 * math.log(1e-3))
    assert int(collapse.active_units(scaled)) == 1


def test_a_collapse_is_told_once_with_what_to_try(trains, capsys):
    assert trains(objective="beta", beta=1e4, lr=0.001, epochs=10, likelihood="gaussian_fixed") == ""
    said = capsys.readouterr().err
    assert said.count("posterior collapse, 0 of 2 latents depend on the image") == 1
    for word in ("a lower --beta", "--objective=free_bits", "--likelihood=gaussian", "--beta_schedule=linear"):
        assert word in said
