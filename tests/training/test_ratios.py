"""The network that tells drawn codes from those of images, and the choice that rests on it."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from tfvae import config, model, serving, training
from tfvae.serving.signatures import choice
from tfvae.training import ratios


def gaussian(number, mean, seed):
    return np.random.default_rng(seed).normal(mean, 1.0, (number, 2)).astype(np.float32)


def test_the_log_ratio_of_two_gaussians_is_found():
    log_ratio, accuracy = ratios.fit(gaussian(20_000, [0, 0], 0), gaussian(20_000, [1, 0], 1))
    points = gaussian(500, [0.5, 0], 2)
    np.testing.assert_allclose(log_ratio(points)[:, 0], 0.5 - points[:, 0], atol=0.35)  # -x^2/2 + (x - 1)^2/2
    assert accuracy == pytest.approx(0.69, abs=0.03)  # Phi(1/2), that of the best classifier.


def test_the_same_codes_give_the_same_network():
    codes, drawn = gaussian(300, [0, 0], 0), gaussian(300, [1, 0], 1)
    one = ratios.fit(codes, drawn, seed=3)[0]
    tf.random.set_seed(7)  # What else a program draws is no concern of it.
    other = ratios.fit(codes, drawn, seed=3)[0]
    np.testing.assert_array_equal(one(codes), other(codes))


def test_a_choice_has_the_probabilities_of_its_weights():
    noise = np.random.default_rng(0).normal(size=(50_000, 4)).astype(np.float32)
    chosen = choice(np.log(np.float32([[1, 2, 3, 4]] * len(noise))), noise)
    np.testing.assert_allclose(np.bincount(chosen, minlength=4) / len(noise), [0.1, 0.2, 0.3, 0.4], atol=0.01)
    extreme = choice(np.float32([[-1e4, 1e4, 0]]), np.float32([[6, -6, 0]]))
    assert extreme.numpy().tolist() == [1]


@pytest.mark.parametrize("candidates", [2, 8])
def test_an_export_draws_what_was_drawn_too_seldom(candidates, tmp_path):
    """Weights exp(2 std z_0) make N((2, 0, 0), I) of N(0, I); candidates come the nearer the more they are."""
    settings = config.TrainConfig(width=4, latent_dim=3, image_size=8, prior="normal", refine=0, candidates=candidates)
    vae = model.build(settings, (8, 8, 3), seed=0)
    images = np.zeros((1, 8, 8, 3), np.uint8)
    version = serving.export(vae, settings, tmp_path, images, log_ratio=lambda x: 2 * x[:, 3:] * x[:, :1])
    served, seeds = serving.Served(version), serving.seeds(1, 0, 3000)
    drawn, latents = served.generate(seeds, 1.0)
    weights = np.exp(2 * np.random.default_rng(0).normal(size=(200_000, candidates)))
    values = np.log(weights) / 2
    expected = (weights * values).sum(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(latents.mean(axis=0), [expected.mean(), 0, 0], atol=0.06)
    np.testing.assert_allclose(drawn[:5], served.decode(latents[:5]), atol=1e-5)
    again, same = served.generate(seeds[7:9], [1.0, 1.0])
    np.testing.assert_allclose(same, latents[7:9], atol=1e-5)
    np.testing.assert_allclose(again, drawn[7:9], atol=1e-5)


class Images:
    """What `ratios` asks of a `data.Data`: images whose first pixel is bright."""

    def __init__(self, num_training):
        self.num_training = num_training

    def images(self, split, numbers):
        assert split == "train"
        return np.random.default_rng(0).integers(200, 256, (self.num_training, 8, 8, 3), dtype=np.uint8)[numbers]

    def spread(self, split, most):
        return np.arange(min(most, self.num_training))


def test_codes_of_images_are_told_from_drawn_ones(capsys):
    settings = config.TrainConfig(width=4, latent_dim=3, prior="normal", refine=0)
    vae = model.build(settings, (8, 8, 3), seed=0)
    log_ratio = ratios.make(vae, vae.prior, settings, lambda: Images(1000))
    (accuracy,) = re.findall(r"those of 1,000 images in ([\d.]+)% of held-out ones", capsys.readouterr().out)
    assert float(accuracy) > 90  # A fresh encoder gives all images almost one code.
    codes = vae.encode(Images(1000).images("train", np.arange(20)) / np.float32(255)).mean
    assert np.min(log_ratio(np.concatenate([codes, np.ones((20, 1))], axis=1))) > 0


def test_there_is_no_choice_of_one_or_by_few_images():
    vae = model.build(config.ModelConfig(width=4, latent_dim=3), (8, 8, 3))
    assert ratios.make(vae, vae.prior, config.TrainConfig(candidates=1), None) is None
    assert ratios.make(vae, vae.prior, config.TrainConfig(), lambda: Images(999)) is None


def test_a_finished_run_is_exported_with_candidates_where_its_data_are(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (1300, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    settings = config.TrainConfig(
        data=str(tmp_path / "images.npy"), data_dir=str(tmp_path / "data"), runs_dir=str(tmp_path / "runs"), name="run",
        export_dir=str(tmp_path / "saved_models"), image_size=8, width=4, latent_dim=2, epochs=1, batch_size=100,
        jit=False, prior="normal", network="convolutional", refine=0, candidates=1)  # fmt: skip
    alone = serving.Served(training.fit(settings))
    assert "candidates:" not in capsys.readouterr().out
    again = config.ExportConfig(name="run", runs_dir=settings.runs_dir, export_dir=settings.export_dir)
    several = training.export_run(dataclasses.replace(again, candidates=3))
    assert "of 3 it chooses one" in capsys.readouterr().out
    assert "--candidates=3" in (several / "assets.extra" / "flags.cfg").read_text()
    seeds = serving.seeds(0, 0, 4)
    assert not np.allclose(serving.Served(several).generate(seeds, 1.0)[1], alone.generate(seeds, 1.0)[1])
    (tmp_path / "images.npy").unlink()
    with pytest.raises(config.UserError, match=r"images\.npy"):
        training.export_run(dataclasses.replace(again, candidates=3))
    training.export_run(again)  # As trained: one candidate needs no data.
    assert tf.io.gfile.exists(str(tmp_path / "saved_models" / "run" / "3"))
