import numpy as np
import pytest
import tensorflow as tf

from tfvae.model import objectives
from tfvae.model.schedules import Schedule, learning_rate

DISTORTION = tf.constant([10.0, 20.0])
RATES = tf.constant([[1.0, 0.0], [2.0, 3.0]])


def test_elbo_is_distortion_plus_rate():
    np.testing.assert_allclose(objectives.ELBO()(DISTORTION, RATES, 0), [11, 25])


def test_beta_of_one_is_the_elbo_and_of_zero_the_distortion():
    np.testing.assert_allclose(objectives.Beta(Schedule(value=1.0))(DISTORTION, RATES, 0), [11, 25])
    np.testing.assert_allclose(objectives.Beta(Schedule(value=0.0))(DISTORTION, RATES, 0), [10, 20])


def test_free_bits_charge_only_above_the_floor():
    np.testing.assert_allclose(objectives.FreeBits(2.0)(DISTORTION, RATES, 0), [14, 25])


def test_free_bits_give_no_gradient_below_the_floor():
    rates = tf.Variable(RATES)
    with tf.GradientTape() as tape:
        loss = objectives.FreeBits(1.5)(DISTORTION, rates, 0)
    np.testing.assert_array_equal(tape.gradient(loss, rates), [[0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("constant", [4, 4, 4, 4, 4]), ("linear", [0, 1, 2, 4, 4]), ("cyclical", [0, 2, 4, 0, 2])],
)
def test_schedules(kind, expected):
    schedule = Schedule(kind, value=4.0, steps=8)
    np.testing.assert_allclose([schedule(step) for step in (0, 2, 4, 8, 10)], expected)


def test_learning_rate_falls_exponentially_from_first_to_last():
    schedule = learning_rate(1e-4, 1e-6, 100)
    np.testing.assert_allclose([schedule(0), schedule(50), schedule(100)], [1e-4, 1e-5, 1e-6], rtol=1e-4)
