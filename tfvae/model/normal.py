"""The normal distribution far into its tails: logarithms of its CDF, and quantiles of logarithms."""

import math

import tensorflow as tf

_LOG_SQRT_2_PI = 0.5 * math.log(2 * math.pi)
# Below, the CDF is a series in 1/x^2 with an error of 1e-12; above, erfc has not underflown yet.
_SERIES_BELOW = -30.0
_FAR = -20.0  # log Phi(-6): XLA's quantiles of smaller probabilities are wrong.


def log_pdf(x):
    """Returns log N(x; 0, 1) in nats, elementwise."""
    return -0.5 * tf.square(x) - _LOG_SQRT_2_PI


def log_cdf(x):
    """Returns log Phi(x) in nats, elementwise, of float64 `x` of any size."""
    erfc = tf.math.log(0.5 * tf.math.erfc(-tf.maximum(x, _SERIES_BELOW) / math.sqrt(2)))
    far = tf.minimum(x, _SERIES_BELOW)
    inverse = 1 / tf.square(far)
    series = 1 - inverse * (1 - inverse * (3 - inverse * (15 - inverse * 105)))
    return tf.where(x < _SERIES_BELOW, log_pdf(far) - tf.math.log(-far) + tf.math.log(series), erfc)


def quantile(log_probability):
    """Returns x with log Phi(x) = `log_probability`, elementwise; float64, at most log(1/2)."""
    x = tf.math.ndtri(tf.exp(tf.maximum(log_probability, _FAR)))
    tail = tf.minimum(log_probability, _FAR)
    far = -tf.sqrt(-2 * tail)
    for _ in range(5):  # Newton's steps, the slope of log Phi being its density over Phi.
        log_probability_there = log_cdf(far)
        far -= (log_probability_there - tail) * tf.exp(log_probability_there - log_pdf(far))
    return tf.where(log_probability < _FAR, far, x)
