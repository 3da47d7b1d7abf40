"""Every recipe in flags/ parses, describes a model, and takes one step with it."""

import pathlib

import keras
import numpy as np
import pytest

from tfvae import commandline, config, model

RECIPES = sorted((pathlib.Path(__file__).parent.parent / "flags").glob("*.cfg"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_takes_a_step(path):
    settings = commandline.read_flagfile(config.TrainConfig, path)
    shape = (*settings.height_and_width, 3)
    vae = model.build(settings, shape, steps_per_epoch=2000, ema=settings.ema, seed=settings.seed)
    vae.compile(optimizer=keras.optimizers.Adam(settings.lr), jit_compile=settings.jit)
    images = np.random.default_rng(0).random((settings.batch_size, *shape), dtype=np.float32)
    numbers = vae.train_on_batch(images, return_dict=True)
    assert all(np.isfinite(value) for value in numbers.values())
    assert vae.optimizer.iterations == 1


def test_the_original_recipe_is_the_original_works():
    settings = commandline.read_flagfile(config.TrainConfig, RECIPES[0].parent / "cartoon_seed.cfg")
    assert (settings.image_size, settings.batch_size, settings.epochs) == (60, 5, 50)
    assert (settings.lr, settings.lr_end) == (1e-4, 3.03e-6)
    shorter = commandline.read_flagfile(config.TrainConfig, RECIPES[0].parent / "cartoon_seed_20.cfg")
    assert (shorter.epochs, shorter.lr_end) == (20, 7.18e-6)
