"""A tiny training that the tests of faults share."""

import numpy as np
import pytest
from PIL import Image

from tfvae import config, training

TINY = {"image_size": 8, "width": 4, "latent_dim": 2, "epochs": 2, "batch_size": 3, "jit": False, "prior": "normal"}
TINY |= {"sampler": "prior"}  # The fit of a sampler takes longer than such a training.


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder of 18 images, of which training sees 14."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for number in range(18):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def make(images, tmp_path):
    """A function that returns a `config.TrainConfig` below `tmp_path`."""

    def made(**others):
        folders = {name: str(tmp_path / name) for name in ("runs_dir", "export_dir", "data_dir")}
        return config.TrainConfig(**{"data": str(images), "name": "run", **TINY, **folders, **others})

    return made


@pytest.fixture(scope="session")
def whole(images, tmp_path_factory):
    """The run folder of an uninterrupted training, exported."""
    place = tmp_path_factory.mktemp("whole")
    folders = {name: str(place / name) for name in ("runs_dir", "export_dir", "data_dir")}
    training.fit(config.TrainConfig(data=str(images), name="run", **TINY, **folders))
    return place / "runs_dir" / "run"
