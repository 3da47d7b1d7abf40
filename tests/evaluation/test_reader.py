"""The reader learns what shows, ignores what is hidden, and is kept and opened again."""

import numpy as np
import pytest

from tfvae import config
from tfvae.evaluation import degradations, shelf
from tfvae.evaluation.reader import Reader

VALUES = {"left": ("dark", "bright"), "right": ("red", "green", "blue")}


def images_and_labels(count, seed):
    """Images [N, 8, 10, 3] whose left half is dark or bright and whose right half has a colour, often hidden."""
    random = np.random.default_rng(seed)
    left, right = random.integers(0, 2, count), random.integers(0, 3, count)
    images = random.integers(0, 40, (count, 8, 10, 3))
    images[:, :, :5] += (150 * left)[:, None, None, None]
    shows = random.uniform(size=count) < 0.6
    images[np.arange(count), :, 5:, right] += (150 * shows)[:, None, None]
    labels = {"left": left, "right": np.where(shows, right, 0)}  # Wrong on purpose where it is hidden.
    return images.astype(np.uint8), labels, {"left": np.ones(count, bool), "right": shows}


class Data:
    """As much of a `data.Data` as readers need."""

    image_shape, attribute_values = (8, 10, 3), VALUES

    def __init__(self, seed=0):
        self.splits = {"train": images_and_labels(600, seed), "test": images_and_labels(200, seed + 1)}
        self.attributes = {split: labels for split, (_, labels, _) in self.splits.items()}
        self.visible = {split: shows for split, (_, _, shows) in self.splits.items()}
        self.trainings = 0

    def images(self, split, numbers=None):
        pixels = self.splits[split][0]
        return pixels if numbers is None else pixels[numbers]

    def spread(self, split, most):
        return np.arange(min(most, len(self.splits[split][0])))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """(data, settings, the reader that was trained and kept)."""
    data, settings = Data(), config.DataConfig(data_dir=str(tmp_path_factory.mktemp("prepared")))
    patch = pytest.MonkeyPatch()
    patch.setattr("tfvae.evaluation.reader._IMAGES", 12_000)
    yield data, settings, shelf.reader_for(data, settings)
    patch.undo()


def test_it_reads_what_shows_on_clean_and_degraded_images(kept):
    _, _, reader = kept
    assert min(reader.accuracy["clean"].values()) > 0.97
    assert min(reader.accuracy["degraded"].values()) > 0.85
    images, labels, shows = images_and_labels(100, 9)
    read = reader.read(images)
    assert (read["right"] == labels["right"])[shows["right"]].mean() > 0.95
    # Had hidden attributes counted, it would have learned to say "red" where there is no colour.
    probabilities = reader.probabilities(images)
    assert probabilities["right"][~shows["right"]][:, 0].mean() < 0.9
    np.testing.assert_allclose(probabilities["left"].sum(axis=1), 1, rtol=1e-5)


def test_bytes_and_numbers_are_read_alike(kept):
    images, _, _ = images_and_labels(10, 5)
    features = kept[2].features(images)
    np.testing.assert_allclose(kept[2].features(images / 255), features, atol=1e-5)
    assert features.shape[0] == 10


def test_it_is_kept_and_opened_again(kept, monkeypatch):
    data, settings, reader = kept
    monkeypatch.setattr(Reader, "fit", lambda *_: pytest.fail("It was trained again."))
    again = shelf.reader_for(data, settings)
    for one, other in zip(again.weights(), reader.weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.accuracy == reader.accuracy


def test_a_damaged_one_is_made_again_and_other_data_have_another_one(kept, monkeypatch, capsys):
    data, settings, _ = kept
    (path,) = (shelf.source.data_dir(settings) / "tfvae_readers").glob("*.npz")
    contents = path.read_bytes()
    trained = []
    monkeypatch.setattr(Reader, "fit", lambda *_: trained.append(1))
    middle = len(contents) // 2
    try:
        for damaged in (contents[:middle], contents[:middle] + b"#" + contents[middle + 1 :], b""):
            path.write_bytes(damaged)
            shelf.reader_for(data, settings)
        assert len(trained) == 3 and "it is made again" in capsys.readouterr().out
    finally:
        path.write_bytes(contents)
    assert shelf.identity(Data(seed=7)) != shelf.identity(data) == path.stem


def test_degradations_leave_a_quarter_alone_and_stay_images():
    images, _, _ = images_and_labels(300, 0)
    degrade = degradations.Degradations(images)
    degraded = degrade.apply_all(images, seed=0)
    assert degraded.shape == images.shape and degraded.min() >= 0 and degraded.max() <= 1
    same = np.abs(degraded - images / 255).max(axis=(1, 2, 3)) < 1e-6
    assert 0.15 < same.mean() < 0.35
    np.testing.assert_array_equal(degraded, degrade.apply_all(images, seed=0))
    assert np.abs(degraded - degrade.apply_all(images, seed=1)).max() > 0.1
