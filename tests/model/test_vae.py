"""The whole model: every combination of parts, one bound in training and validation, noise, averages, replicas."""

import dataclasses
import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvae import config, model
from tfvae.model import build

SHAPE = (9, 14, 3)
IMAGES = np.random.default_rng(0).random((4, *SHAPE), dtype=np.float32)
TINY = {"width": 4, "latent_dim": 3}


def compiled(seed=0, ema=0.0, image_shape=SHAPE, jit=False, optimizer=None, **settings):
    vae = build(config.ModelConfig(**{**TINY, **settings}), image_shape, seed=seed, ema=ema)
    vae.compile(optimizer=optimizer or keras.optimizers.Adam(1e-3), jit_compile=jit)
    vae.optimizer.build(vae.trainable_variables)
    return vae


LIKELIHOODS = ("gaussian", "gaussian_optimal", "gaussian_fixed", "bernoulli", "logistic")
PARTS = [
    *itertools.product(("residual", "convolutional"), LIKELIHOODS, ("flow", "normal")),
    *itertools.product(("residual", "convolutional"), ("logistic_mixture",), ("mixture", "normal")),
]


@pytest.mark.parametrize(("network", "likelihood", "prior"), PARTS)
def test_every_combination_trains_saves_and_reloads(network, likelihood, prior, tmp_path):
    vae = compiled(network=network, likelihood=likelihood, prior=prior)
    before = [variable.numpy() for variable in vae.trainable_variables]
    numbers = vae.train_step(IMAGES)
    assert all(np.isfinite(value) for value in numbers.values())
    assert any(np.any(variable != old) for variable, old in zip(vae.trainable_variables, before, strict=True))
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(again(IMAGES), vae(IMAGES), atol=1e-6)
    assert again.optimizer.iterations == 1


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_optimal"])
def test_a_sigma_for_each_channel_trains_saves_and_reloads(likelihood, tmp_path):
    vae = compiled(likelihood=likelihood, sigmas="channels")
    colours = 0.5 + (IMAGES - 0.5) * np.float32([0.1, 0.5, 1.0])  # A new decoder gives 0.5.
    for _ in range(20):
        vae.train_step(colours)
    red, green, blue = vae.likelihood.sigma.numpy()
    assert red < green < blue
    vae.save(tmp_path / "vae.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "vae.keras").likelihood.sigma, vae.likelihood.sigma
    )


@pytest.mark.parametrize("objective", [{}, {"objective": "beta", "beta": 3.0}, {"objective": "free_bits"}])
def test_training_and_validation_compute_one_loss(objective):
    vae = compiled(**objective)
    noise = tf.random.stateless_normal([4, 3], [1, 2])
    training = vae.terms(IMAGES, noise, 0, training=True)
    validation = vae.terms(IMAGES, noise, 0, training=False)
    np.testing.assert_array_equal(training.loss, validation.loss)


def test_the_loss_under_the_elbo_is_distortion_plus_rate_from_their_definitions():
    vae = compiled(likelihood="gaussian_fixed", prior="normal")
    noise = tf.random.stateless_normal([4, 3], [1, 2])
    terms = vae.terms(IMAGES, noise, 0)
    posterior = vae.encode(IMAGES)
    decoded = vae.decoder(vae.reparameterize(posterior, noise)).numpy()
    squared_error = ((IMAGES - decoded) ** 2).sum(axis=(1, 2, 3))
    rate = posterior.kl_to_standard_normal().numpy().sum(axis=1)
    constant = math.prod(SHAPE) * 0.5 * math.log(math.pi)
    np.testing.assert_allclose(terms.loss, squared_error + constant + rate, rtol=1e-5)
    np.testing.assert_allclose(terms.distortion + terms.rate, terms.loss, rtol=1e-6)


@pytest.mark.parametrize("network", ["residual", "convolutional"])
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (60, 60, 3), (11, 37, 3), (33, 8, 1)])
def test_any_size_comes_back_as_it_went_in(network, image_shape):
    vae = compiled(network=network, image_shape=image_shape)
    assert vae.image_shape == image_shape
    assert vae(np.zeros((2, *image_shape), np.float32)).shape == (2, *image_shape)
    assert vae.encode(np.zeros((2, *image_shape), np.float32)).mean.shape == (2, 3)


def test_what_is_logged_is_what_is_optimised():
    vae = compiled()
    noise = vae.noise(4, 0, 0)
    expected = vae.terms(IMAGES, noise, 0, training=True)
    numbers = vae.train_step(IMAGES)
    np.testing.assert_allclose(numbers["loss"], tf.reduce_mean(expected.loss), rtol=1e-5)
    np.testing.assert_allclose(vae.recent_losses[0], tf.reduce_mean(expected.loss), rtol=1e-5)
    np.testing.assert_allclose(numbers["squared_error"], tf.reduce_mean(expected.squared_error), rtol=1e-5)


def test_padding_changes_neither_step_nor_metrics():
    plain, padded = compiled(), compiled()
    images = np.concatenate([IMAGES[:3], np.ones((1, *SHAPE), np.float32)])
    weights = np.float32([1, 1, 1, 0])
    noise = padded.noise(4, 0, 0)[:3]
    plain.noise = lambda *_: noise
    expected = plain.train_step(IMAGES[:3])
    numbers = padded.train_step((images, images, weights))
    for name, value in expected.items():
        np.testing.assert_allclose(numbers[name], value, rtol=1e-5)
    for one, other in zip(plain.trainable_variables, padded.trainable_variables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_batch_of_padding_alone_does_no_harm():
    vae = compiled()
    vae.train_step((IMAGES, None, np.zeros(4, np.float32)))
    assert all(np.all(np.isfinite(variable)) for variable in vae.trainable_variables)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, second, third = (compiled(seed=seed) for seed in (1, 1, 2))
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(2).repeat()
    for vae in (first, second, third):
        vae.fit(dataset, steps_per_epoch=3, verbose=0, shuffle=False)
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(np.any(one != other) for one, other in zip(first.weights, third.weights, strict=True))


def test_noise_depends_on_step_stream_and_seed_and_is_standard_normal():
    vae = compiled(latent_dim=64)
    draws = [vae.noise(500, stream, step).numpy() for stream in (0, 1) for step in (0, 1)]
    draws.append(compiled(latent_dim=64, seed=1).noise(500, 0, 0).numpy())
    for one, other in itertools.combinations(draws, 2):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03
    np.testing.assert_allclose([draws[0].mean(), draws[0].std()], [0, 1], atol=0.02)
    np.testing.assert_array_equal(draws[0], vae.noise(500, 0, 0))


def test_compiled_noise_is_standard_normal_and_another_at_each_step():
    vae = compiled(latent_dim=64)
    draw = tf.function(lambda step: vae.noise(500, 0, step), jit_compile=True)
    first, second = draw(tf.constant(7)).numpy(), draw(tf.constant(8)).numpy()
    np.testing.assert_array_equal(draw(tf.constant(7)), first)
    np.testing.assert_allclose([first.mean(), first.std()], [0, 1], atol=0.02)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03


def test_every_evaluation_draws_the_same_noise():
    vae = compiled()
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(2)
    first = vae.evaluate(dataset, verbose=0, return_dict=True)
    assert first == vae.evaluate(dataset, verbose=0, return_dict=True)


def test_averages_follow_their_recursion_and_leave_the_weights_bit_for_bit():
    vae = compiled(ema=0.6)
    expected = [variable.numpy() for variable in vae.trainable_variables]
    for step in range(4):
        vae.train_step(IMAGES)
        momentum = min(0.6, (1 + step) / (10 + step))
        current = [variable.numpy() for variable in vae.trainable_variables]
        expected = [momentum * old + (1 - momentum) * new for old, new in zip(expected, current, strict=True)]
    with vae.averaged_weights():
        for variable, average in zip(vae.trainable_variables, expected, strict=True):
            np.testing.assert_allclose(variable, average, atol=1e-6)
    for variable, kept in zip(vae.trainable_variables, current, strict=True):
        np.testing.assert_array_equal(variable, kept)


@pytest.mark.parametrize(("prior", "likelihood"), [("flow", "gaussian"), ("mixture", "logistic_mixture")])
def test_mixed_precision_keeps_the_bound_in_float32(prior, likelihood):
    full = compiled(prior=prior, likelihood=likelihood)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        vae = compiled(prior=prior, likelihood=likelihood)
    finally:
        keras.config.set_dtype_policy("float32")
    noise = tf.random.stateless_normal([4, 3], [1, 2])
    terms = vae.terms(IMAGES, noise, 0)
    assert {value.dtype for value in terms} == {tf.float32}
    np.testing.assert_allclose(terms.loss, full.terms(IMAGES, noise, 0).loss, rtol=2e-2)
    assert np.isfinite(vae.train_step(IMAGES)["loss"])
    assert vae(IMAGES).dtype == tf.float32


@pytest.mark.parametrize("prior", ["flow", "mixture"])
def test_two_replicas_take_the_step_of_one_with_different_noise(prior, two_devices):
    with two_devices.scope():
        both = compiled(optimizer=keras.optimizers.SGD(1e-4), likelihood="gaussian_fixed", prior=prior, ema=0.9)
    noises = two_devices.run(lambda: both.noise(2, 0, 0))
    noise = tf.concat(two_devices.experimental_local_results(noises), axis=0)
    assert np.abs(noise[:2] - noise[2:]).min() > 0
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    both.fit(dataset, verbose=0, shuffle=False)
    alone = compiled(optimizer=keras.optimizers.SGD(1e-4), likelihood="gaussian_fixed", prior=prior)
    alone.noise = lambda *_: noise
    alone.train_step(IMAGES)
    for one, other in zip(alone.trainable_variables, both.trainable_variables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert all(np.all(np.isfinite(average)) for average in both.averages)


def test_a_flow_of_one_latent_is_refused_by_flag():
    with pytest.raises(config.UserError, match="--latent_dim must be at least 2 for --prior=flow, got 1"):
        build(config.ModelConfig(latent_dim=1), SHAPE)


def test_the_parts_are_what_their_names_say():
    vae = compiled(prior="normal", objective="beta", beta=2.0)
    assert isinstance(vae, model.VAE) and isinstance(vae, keras.Model)
    np.testing.assert_array_equal(vae.prior.from_base(IMAGES[0, 0, :, :3]), IMAGES[0, 0, :, :3])
    terms = vae.terms(IMAGES, tf.zeros([4, 3]), 0)
    np.testing.assert_allclose(terms.loss, terms.distortion + 2 * terms.rate, rtol=1e-6)


@pytest.mark.parametrize(("image_shape", "weight"), [((60, 60, 3), 50.0), ((28, 28, 1), 50 * 784 / 10_800)])
def test_a_scaled_beta_asks_a_nat_for_the_same_share_of_the_error_at_every_size(image_shape, weight):
    settings = config.ModelConfig(**TINY, objective="beta", beta=50.0, beta_scaled=True)
    loss = build(settings, image_shape).objective
    # The distortion of n numbers with squared error e and the best sigma: n / 2 log e, and a constant.
    share = np.expm1(2 * -weight / np.prod(image_shape))
    bought = np.prod(image_shape) / 2 * np.log1p(share)
    np.testing.assert_allclose(loss(np.float32([0, bought]), np.float32([[0], [1]]), 0), [0, 0], atol=1e-4)
    np.testing.assert_allclose(share, -0.0092165, rtol=1e-4)
    assert build(dataclasses.replace(settings, beta_scaled=False), image_shape).objective.schedule.value == 50
