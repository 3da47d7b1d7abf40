"""The stream of batches: nothing lost, every epoch in another order, the same for a seed, resumed exactly."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfvae import config, data

COUNT, BATCH = 37, 5


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Settings of a file of images that all differ, with official splits."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT + 12, 8, 9, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("pipeline") / "images.npz"
    np.savez(path, train=images[:COUNT], validation=images[COUNT : COUNT + 8], test=images[COUNT + 8 :])
    folder = str(path.parent / "prepared")
    return config.DataConfig(data=str(path), image_size=8, image_width=9, batch_size=BATCH, data_dir=folder)


@pytest.fixture(scope="module")
def loaded(settings):
    return data.load(settings)


def take(dataset, count):
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def shown(batches):
    """Returns uint8 [N, H, W, C]: the images of weight 1, in order."""
    return np.concatenate([np.round(images[weights > 0] * 255).astype(np.uint8) for images, _, weights in batches])


def multiset(images):
    return sorted(image.tobytes() for image in images)


def assert_same(batches, others):
    for parts, same in zip(batches, others, strict=True):
        for one, other in zip(parts, same, strict=True):
            np.testing.assert_array_equal(one, other)


def test_counts_and_element_spec(loaded):
    assert isinstance(loaded, data.Data)
    assert loaded.image_shape == (8, 9, 3)
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (37, 8, 4)
    assert loaded.steps_per_epoch == 8  # ceil(37 / 5)
    assert loaded.names["train"] is None
    assert loaded.attributes == {"train": {}, "validation": {}, "test": {}}
    held_out = {loaded.validation: 8, loaded.test: BATCH}  # At once, but not less than --batch_size.
    for dataset, size in ({loaded.training: BATCH, loaded.training_from(7): BATCH} | held_out).items():
        images, targets, weights = dataset.element_spec
        assert (images.shape, images.dtype) == ((size, 8, 9, 3), np.float32) and targets == images
        assert (weights.shape, weights.dtype) == ((size,), np.float32)


def test_a_few_images_are_taken_evenly_over_a_split(loaded):
    count = loaded.num_training
    assert loaded.spread("train", count).tolist() == loaded.spread("train", 10 * count).tolist() == list(range(count))
    few = loaded.spread("train", 3)
    assert few.tolist() == [0, (count - 1) // 2, count - 1]
    assert loaded.images("train", few).shape[0] == 3


def test_no_image_is_lost_in_an_epoch_and_the_last_batch_is_padded(loaded):
    batches = take(loaded.training, 24)
    kept = loaded.images("train")
    for images, targets, _ in batches:  # For Keras, which takes weights only after targets.
        np.testing.assert_array_equal(images, targets)
    for epoch in range(3):
        mine = batches[8 * epoch : 8 * epoch + 8]
        assert multiset(shown(mine)) == multiset(kept)
        assert all((weights == 1).all() for *_, weights in mine[:-1])
        assert mine[-1][2].tolist() == [1, 1, 0, 0, 0]  # 37 = 7 * 5 + 2
    images = np.concatenate([images for images, *_ in batches])
    assert images.min() >= 0 and images.max() <= 1


def test_order_differs_between_epochs_and_seeds_and_is_the_same_for_a_seed(loaded, settings):
    batches = take(loaded.training, 24)
    epochs = [shown(batches[8 * k : 8 * k + 8]).tobytes() for k in range(3)]
    assert len({*epochs, loaded.images("train").tobytes()}) == 4
    assert_same(batches, take(data.load(settings).training, 24))
    other = take(data.load(dataclasses.replace(settings, seed=1)).training, 8)
    assert shown(other).tobytes() not in epochs


def test_the_shuffle_is_full(loaded):
    """Each image is somewhere near each place of an epoch now and then, its neighbours in the file not beside it."""
    kept = {image.tobytes(): k for k, image in enumerate(loaded.images("train"))}
    epochs = 60
    order = [kept[image.tobytes()] for image in shown(take(loaded.training, 8 * epochs))]
    places = np.argsort(np.array(order).reshape(epochs, COUNT), axis=1)
    # The mean place of 60 uniform draws from 0..36 has standard deviation 1.38 about 18; six of them are 8.3.
    assert np.abs(places.mean(axis=0) - (COUNT - 1) / 2).max() < 8.3
    steps = np.abs(np.diff(np.array(order).reshape(epochs, COUNT), axis=1))
    assert np.mean(steps == 1) < 0.12  # 2 / 37 is expected.


@pytest.mark.parametrize("augment", ["none", "flip"])
@pytest.mark.parametrize("step", [0, 1, 7, 8, 9, 21, 24])
def test_a_resumed_stream_is_the_tail_of_an_uninterrupted_one(settings, augment, step):
    loaded = data.load(dataclasses.replace(settings, augment=augment))
    assert_same(take(loaded.training_from(step), 12), take(loaded.training, step + 12)[step:])


def test_a_stream_from_a_late_step_starts_at_once(loaded):
    """A billion steps are not walked through: the test would not end."""
    step = 10**9 + 3
    assert step % 8 == 3
    late = take(loaded.training_from(step), 5)
    assert late[4][2].tolist() == [1, 1, 0, 0, 0]
    assert multiset(shown(late)) <= multiset(loaded.images("train")) or len(shown(late)) == 22


def test_held_out_splits_come_in_order_with_weights(loaded):
    for split, dataset, weights in (
        ("validation", loaded.validation, [1] * 8),
        ("test", loaded.test, [1] * 4 + [0]),
    ):
        batches = list(dataset.as_numpy_iterator())
        assert np.concatenate([weights for *_, weights in batches]).tolist() == weights
        np.testing.assert_array_equal(shown(batches), loaded.images(split))


@pytest.mark.parametrize("count, size, batch_size, expected", [(250, 8, 5, 100), (40, 96, 5, 39), (9, 512, 5, 5)])
def test_held_out_images_come_in_batches_of_bounded_size(count, size, batch_size, expected, tmp_path):
    images = np.zeros([count, size, size, 1], np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    np.savez(tmp_path / "images.npz", train=images[:5], validation=images, test=images[:1])
    settings = config.DataConfig(data=str(tmp_path / "images.npz"), image_size=size, batch_size=batch_size, white="255")
    batches = list(data.load(settings).validation.as_numpy_iterator())
    assert {len(one) for batch in batches for one in batch} == {expected}
    assert shown(batches)[:, 0, 0, 0].tolist() == list(range(count))


def test_all_caches_give_the_same(settings, loaded):
    expected = take(loaded.training, 11)
    for cache in ("memory", "disk", "none"):
        other = data.load(dataclasses.replace(settings, cache=cache))
        assert_same(take(other.training, 11), expected)
        for split in ("train", "validation", "test"):
            np.testing.assert_array_equal(other.images(split), loaded.images(split))


@pytest.mark.skipif(not pathlib.Path("/proc/self/maps").exists(), reason="Linux only.")
def test_what_is_kept_on_disk_takes_no_memory(settings):
    loaded = data.load(dataclasses.replace(settings, cache="disk"))
    take(loaded.training, 24)
    assert "tfvae_cache" not in pathlib.Path("/proc/self/maps").read_text()


def test_a_kept_file_that_was_cut_short_is_an_error(settings, tmp_path):
    loaded = data.load(dataclasses.replace(settings, cache="disk", data_dir=str(tmp_path)))
    (kept,) = tmp_path.glob("tfvae_cache/*/images.npy")
    with open(kept, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(tf.errors.OpError, match="shorter than it was"):
        take(loaded.training, 8)


def test_flip_mirrors_about_half_of_the_training_images_and_no_others(settings, loaded):
    flipped = data.load(dataclasses.replace(settings, augment="flip"))
    plain, changed = take(loaded.training, 32), take(flipped.training, 32)
    mirrored = []
    for (images, _, weights), (other, _, other_weights) in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(weights, other_weights)
        for image, candidate in zip(images, other, strict=True):
            is_mirrored = np.array_equal(candidate, image[:, ::-1])
            assert is_mirrored or np.array_equal(candidate, image)
            mirrored.append(is_mirrored)
    assert 0.35 < np.mean(mirrored) < 0.65  # 160 coins: six standard deviations are 0.24; this is four.
    per_epoch = np.array(mirrored).reshape(4, 40)
    assert not (per_epoch[0] == per_epoch[1]).all()
    assert_same(list(flipped.validation.as_numpy_iterator()), list(loaded.validation.as_numpy_iterator()))


def test_a_batch_of_exactly_all_images(settings):
    loaded = data.load(dataclasses.replace(settings, batch_size=COUNT))
    assert loaded.steps_per_epoch == 1
    (batch,) = take(loaded.training, 1)
    assert batch[2].all() and multiset(shown([batch])) == multiset(loaded.images("train"))
    with pytest.raises(config.UserError, match="one batch of 38 training images, got 37"):
        data.load(dataclasses.replace(settings, batch_size=COUNT + 1))
