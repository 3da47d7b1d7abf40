"""What `fit`, `evaluate`, `predict` and calls take, and the one line that refuses anything else."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvae import config, evaluation
from tfvae.model import build

SHAPE = (8, 10, 3)
BYTES = np.random.default_rng(0).integers(0, 256, (6, *SHAPE), np.uint8)
IMAGES = np.float32(BYTES) / 255
WEIGHTS = np.float32([1, 1, 0, 2, 1, 1])
LABELS = np.eye(10, dtype=np.float32)[[0, 3, 2, 1, 9, 4]]


class Items(keras.utils.PyDataset):
    """A data set of one batch."""

    def __init__(self, *batch):
        super().__init__()
        self._batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, _):
        return self._batch


def new():
    vae = build(config.ModelConfig(width=4, latent_dim=3), SHAPE)
    vae.compile("adam", run_eagerly=True)
    return vae


@pytest.fixture(scope="module")
def vae():
    return new()


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(6)


def evaluated(vae, *args, **kwargs):
    return vae.evaluate(*args, **kwargs, verbose=0, return_dict=True)


def test_every_form_of_the_same_images_gives_the_same_numbers(vae):
    expected = evaluated(vae, IMAGES, batch_size=6)
    forms = [(BYTES,), (tf.constant(IMAGES),), (IMAGES.astype(np.float64),), (BYTES, BYTES), (IMAGES, IMAGES.copy())]
    forms += [(IMAGES, IMAGES.astype(np.float64)), (dataset(IMAGES),), (dataset(BYTES, BYTES),), (Items(BYTES),)]
    forms += [(Items(IMAGES, IMAGES, np.ones(6, np.float32)),)]
    for form in forms:
        assert evaluated(vae, *form, batch_size=6) == pytest.approx(expected, rel=1e-5)


def test_weights_are_the_third_part_of_a_batch_or_sample_weight(vae):
    parts = [evaluated(vae, IMAGES[k : k + 1])["squared_error"] for k in range(6)]
    assert evaluated(vae, IMAGES, sample_weight=WEIGHTS, batch_size=6)["squared_error"] != pytest.approx(np.mean(parts))
    expected = evaluated(vae, IMAGES, sample_weight=WEIGHTS, batch_size=6)
    assert evaluated(vae, dataset(BYTES, BYTES, WEIGHTS)) == pytest.approx(expected, rel=1e-5)
    assert evaluated(vae, Items(IMAGES, IMAGES, WEIGHTS)) == pytest.approx(expected, rel=1e-5)
    numbers = evaluation.measure(vae, dataset(BYTES, BYTES, WEIGHTS))
    error = np.square(IMAGES - vae(IMAGES)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(numbers["mse"], np.average(error, weights=WEIGHTS), rtol=1e-5)
    assert numbers == pytest.approx(evaluation.measure(vae, dataset(IMAGES, IMAGES, WEIGHTS)), rel=1e-5)


def test_fit_with_keras_own_splits_and_triples():
    first, second = new(), new()
    split = first.fit(BYTES, validation_split=0.5, sample_weight=WEIGHTS, epochs=1, shuffle=False, verbose=0)
    validation = (IMAGES[3:], IMAGES[3:], WEIGHTS[3:])
    triple = second.fit(
        IMAGES[:3], IMAGES[:3], sample_weight=WEIGHTS[:3], validation_data=validation, shuffle=False, verbose=0
    )
    assert split.history.keys() == triple.history.keys() and "val_loss" in split.history
    for name, values in split.history.items():
        assert values == pytest.approx(triple.history[name], rel=1e-4)


def test_calls_predict_and_encode_take_bytes_as_well(vae):
    expected = vae(IMAGES).numpy()
    np.testing.assert_allclose(vae(BYTES), expected, atol=1e-6)
    np.testing.assert_allclose(vae.encode(BYTES).mean, vae.encode(IMAGES).mean, atol=1e-6)
    for given in (BYTES, IMAGES, dataset(BYTES), dataset(IMAGES, LABELS)):  # `predict` takes no targets.
        np.testing.assert_allclose(vae.predict(given, verbose=0), expected, atol=1e-5)


def shifted(by, at=(4, 0, 0, 0)):
    images = IMAGES.copy()
    images[at] = by
    return images


REFUSED = {
    "one-hot": ((IMAGES, LABELS), r"targets of shape \[6, 10\] that are not the images"),
    "labels": ((IMAGES, LABELS[:, :1]), r"targets of shape \[6, 1\] that are not the images"),
    "weights as targets": ((IMAGES, WEIGHTS), r"sample_weight, weights; it got targets of shape \[6\]"),
    "other images": ((IMAGES, shifted(0.5)), r"targets of shape \[6, 8, 10, 3\] that are not the images"),
    "255": ((np.float32(BYTES),), r"floats in \[0, 1\]; it got 255: divide by 255\."),
    "-1": ((2 * IMAGES - 1,), r"floats in \[0, 1\]; it got -1\."),
    "nan": ((shifted(np.nan),), r"it got nan\."),
    "inf": ((shifted(np.inf),), r"it got inf\."),
    "int64": ((BYTES.astype(np.int64),), "as uint8 or as floats in .*; it got int64"),
    "bool": ((BYTES > 9,), "it got bool"),
    "shape": ((IMAGES[:, :, :8],), r"images of shape \[B, 8, 10, 3\]; it got shape \[6, 8, 8, 3\]"),
    "one image": ((IMAGES[0],), r"it got shape \[8, 10, 3\]"),
    "weights": ((IMAGES, IMAGES, WEIGHTS[:, None]), r"one weight for each image; it got weights of shape \[6, 1\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused_in_one_line(vae, name):
    parts, message = REFUSED[name]
    calls = [lambda: vae.fit(*parts[:2], sample_weight=parts[2] if len(parts) > 2 else None, verbose=0)]
    calls += [lambda: vae.fit(IMAGES, validation_data=parts if len(parts) > 1 else parts[0], verbose=0)]
    calls += [lambda: vae.evaluate(Items(*parts), verbose=0)]
    calls += [lambda: vae.fit(dataset(*parts), verbose=0)] * (name != "one image")
    calls += [lambda: vae.train_on_batch(*parts), lambda: vae.test_on_batch(*parts)]
    before = [variable.numpy() for variable in vae.trainable_variables]
    for call in calls:
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value) and str(error.value).startswith("VAE.")
    for variable, old in zip(vae.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_rounding_beyond_the_ends_is_taken(vae):
    assert np.isfinite(evaluated(vae, shifted(1.0009))["loss"]) and np.isfinite(evaluated(vae, shifted(-9e-4))["loss"])


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_what_steps_can_see_in_generators_is_refused(run_eagerly):
    vae = new()
    vae.compile("adam", run_eagerly=run_eagerly)
    # Keras makes the optimizer's variables in the first step it compiles, and never again where that one fails.
    vae.optimizer.build(vae.trainable_variables)

    def fit(*batch):
        return vae.fit((batch for _ in range(9)), steps_per_epoch=1, shuffle=False, verbose=0)

    for batch in ((IMAGES, LABELS), (IMAGES[:, :4],), (BYTES.astype(np.int32),)):
        with pytest.raises(ValueError, match=r"^VAE.fit takes [^\n]*$"):
            fit(*batch)
    assert np.isfinite(fit(BYTES, BYTES, WEIGHTS).history["loss"][0])


def test_other_arguments_are_refused_by_name(vae):
    with pytest.raises(ValueError, match="VAE.fit takes images, one array or tensor; it got a tuple"):
        vae.fit((IMAGES, WEIGHTS), verbose=0)
    with pytest.raises(ValueError, match="sample_weight, it got class_weight"):
        vae.fit(IMAGES, IMAGES, class_weight={0: 2.0}, verbose=0)
    for call in (vae, vae.encode):
        with pytest.raises(ValueError, match=r"images of shape \[B, 8, 10, 3\]; it got shape \[6, 4, 10, 3\]"):
            call(IMAGES[:, :4])


def test_a_look_at_the_first_batch_leaves_an_endless_data_set_as_it_was():
    one, other = new(), new()
    batches = tf.data.Dataset.from_tensor_slices(BYTES).repeat().batch(4)
    one.fit(batches, steps_per_epoch=3, verbose=0, shuffle=False)
    for images in itertools.islice(batches, 3):
        other.train_step(images)
    for a, b in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
