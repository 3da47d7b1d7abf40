"""--data=tfds:NAME: a small data set of each kind that matters, and mistakes in one line."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import logging

from tfvae import config, data

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (30, 8, 9, 1), dtype=np.uint8)
RGB = RANDOM.integers(0, 256, (30, 8, 9, 3), dtype=np.uint8)


NAMES = ("grey", "colour", "alone", "masks", "more", "text", "failing")


class TfvaeTiny(tfds.core.GeneratorBasedBuilder):
    """`grey` has all three splits and labels, `colour` training and test images, `alone` one split."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in NAMES]

    def _info(self):
        channels = 1 if self.builder_config.name in ("grey", "masks") else 3
        image = {"picture": tfds.features.Image(shape=(8, 9, channels))}
        label = {"label": tfds.features.ClassLabel(names=["even", "odd"])}
        is_text = self.builder_config.name == "text"
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(label if is_text else image | label)
        )

    def _split_generators(self, dl_manager):
        if self.builder_config.name == "failing":
            raise ConnectionError("no such host\nand much more")
        parts = {
            "grey": {"train": (0, 20), "validation": (20, 25), "test": (25, 30)},
            "colour": {"train": (0, 24), "test": (24, 30)},
            "more": {"train": (0, 20), "unlabelled": (20, 30)},
        }
        chosen = parts.get(self.builder_config.name, {"everything": (0, 30)})
        return {split: self._generate_examples(*bounds) for split, bounds in chosen.items()}

    def _generate_examples(self, start, stop):
        images = {"grey": GREY, "masks": GREY // 128}.get(self.builder_config.name, RGB)
        for k in range(start, stop):
            image = {} if self.builder_config.name == "text" else {"picture": images[k]}
            yield k, image | {"label": k % 2}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("prepared"))

    def loader(name, **others):
        settings = {"image_size": 8, "image_width": 9, "batch_size": 4, "data_dir": folder, **others}
        return data.load(config.DataConfig(data=f"tfds:{name}", **settings))

    return loader


def found_indices(loaded, split, images):
    """Returns which of `images` each kept image is."""
    known = {image.tobytes(): k for k, image in enumerate(images)}
    return [known[image.tobytes()] for image in loaded.images(split)]


def test_official_splits_grey_images_and_labels(load):
    loaded = load("tfvae_tiny/grey")
    assert loaded.image_shape == (8, 9, 1)
    bounds = {"train": (0, 20), "validation": (20, 25), "test": (25, 30)}
    for split, (start, stop) in bounds.items():
        indices = found_indices(loaded, split, GREY)
        assert sorted(indices) == list(range(start, stop))
        np.testing.assert_array_equal(loaded.attributes[split]["label"], np.array(indices) % 2)
    assert loaded.attribute_values == {"label": ("even", "odd")}
    assert loaded.visible["train"] == {}


def test_a_missing_split_is_a_share_of_the_training_images(load):
    loaded = load("tfvae_tiny/colour", holdout=0.25)
    assert loaded.image_shape == (8, 9, 3)
    training, validation, test = (found_indices(loaded, split, RGB) for split in ("train", "validation", "test"))
    assert sorted(test) == list(range(24, 30))
    assert len(validation) == 6 and sorted(training + validation) == list(range(24))


def test_a_single_split_of_any_name_becomes_three(load):
    loaded = load("tfvae_tiny/alone")
    parts = [found_indices(loaded, split, RGB) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [24, 3, 3]
    assert sorted(sum(parts, [])) == list(range(30))


def test_masks_of_0_and_1_are_black_and_white_and_told(load):
    loaded = load("tfvae_tiny/masks")
    found_indices(loaded, "train", GREY // 128 * 255)
    assert set(np.unique(loaded.images("train"))) == {0, 255}
    assert "values from 0 to 1: 0 becomes black, 1 white" in " ".join(loaded.report.found)
    as_they_are = load("tfvae_tiny/masks", white="255")
    assert set(np.unique(as_they_are.images("train"))) == {0, 1}


def test_splits_that_are_not_used_are_named(load):
    loaded = load("tfvae_tiny/more")
    assert loaded.num_training + loaded.num_validation + loaded.num_test == 20
    assert "splits that are not used: unlabelled (10)" in loaded.report.left_out


def test_the_order_is_the_same_each_time_and_on_disk(load):
    first, second = load("tfvae_tiny/alone", cache="disk"), load("tfvae_tiny/alone", cache="memory")
    np.testing.assert_array_equal(first.images("train"), second.images("train"))


def test_mistakes_are_one_line(load):
    cases = {
        "tfvae_nonesuch": "--data=tfds:tfvae_nonesuch: the data set could not be prepared: .*not found",
        "tfvae_tiny/nonesuch": "could not be prepared",
        "tfvae_tiny/failing": "could not be prepared: ConnectionError: no such host$",
        "tfvae_tiny/text": "expected a data set with an image feature, got label",
    }
    for name, words in cases.items():
        with pytest.raises(config.UserError, match=words) as error:
            load(name)
        assert "\n" not in str(error.value) and len(str(error.value)) < 400
    with pytest.raises(config.UserError, match="--cache=none needs a folder .*; use --cache=disk"):
        load("tfvae_tiny/grey", cache="none")


def test_the_callers_logging_is_left_as_it_was(load):
    before = logging.get_verbosity()
    load("tfvae_tiny/grey")
    assert logging.get_verbosity() == before
