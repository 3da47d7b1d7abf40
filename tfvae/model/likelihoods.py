"""Likelihoods p(x|z): what a decoder's output says of an image.

Each is a small Keras layer, since one of them has a weight, with
`parameters_per_channel`: how many numbers the decoder gives for each of an image's channels;
`log_prob(images, parameters)`: log p(x|z) in nats per image, summed (never averaged) over H, W and C;
`mean(parameters)`: the expected image, in [0, 1];
`observe(images, parameters, weights)`: called at each training step, for what is fitted in closed form.
"""

import math

import keras
import tensorflow as tf

# The standard deviation of rounding a pixel to 256 levels: no sigma below it can be told from data.
SMALLEST_SIGMA = 1 / (255 * math.sqrt(12))
_PIXELS = [-3, -2, -1]  # The axes H, W, C.
# A learned log-sigma is a weight times this: Adam moves a weight by the learning rate a step, at 1e-4 too slow for a
# number that falls from log 0.5 to log 0.01.
_SIGMA_GAIN = 30.0


class Likelihood(keras.layers.Layer):
    """What all likelihoods share."""

    parameters_per_channel = 1

    def log_prob(self, images, parameters):
        """Returns log p(x|z).

        Args:
            images: [B, H, W, C] float32 in [0, 1].
            parameters: What the decoder returned, [..., B, H, W, C * parameters_per_channel] float32.

        Returns:
            [..., B] float32, nats per image.
        """
        raise NotImplementedError

    def mean(self, parameters):
        """Returns the expected image [..., B, H, W, C] in [0, 1]."""
        raise NotImplementedError

    def observe(self, images, parameters, weights):
        """Sees each training batch; `weights` [B] is 0 for padding."""


@keras.saving.register_keras_serializable("tfvae")
class Gaussian(Likelihood):
    """N(parameters, sigma^2) with one sigma for all pixels (sigma-VAE: Rybkin, Daniilidis and Levine 2021).

    Args:
        sigma: "learned" (a weight), "optimal" (the closed form: the root of the mean squared error, averaged over
            the last steps), or a number. 1/sqrt(2) makes -log p the sum of squared errors, up to a constant.
        momentum: Of the average under "optimal".
    """

    def __init__(self, sigma="learned", momentum=0.99, **kwargs):
        super().__init__(**kwargs)
        if sigma not in ("learned", "optimal") and not (isinstance(sigma, float | int) and sigma > 0):
            raise ValueError(f'sigma must be "learned", "optimal" or a positive number, got {sigma!r}.')
        self.sigma_setting, self.momentum = sigma, momentum
        start = 0.5 if isinstance(sigma, str) else sigma
        self.scaled_log_sigma = self.add_weight(
            name="scaled_log_sigma",
            shape=(),
            initializer=keras.initializers.Constant(math.log(start) / _SIGMA_GAIN),
            trainable=sigma == "learned",
            dtype="float32",
            aggregation="mean",
        )
        if sigma == "optimal":
            self.observations = self.add_weight(name="observations", shape=(), initializer="zeros", trainable=False,
                                                dtype="float32", aggregation="only_first_replica")  # fmt: skip
        self.built = True

    @property
    def sigma(self):
        """The standard deviation now, in units of the pixel range [0, 1]."""
        return tf.maximum(tf.exp(_SIGMA_GAIN * tf.convert_to_tensor(self.scaled_log_sigma)), SMALLEST_SIGMA)

    def log_prob(self, images, parameters):
        sigma = self.sigma
        squared_error = tf.reduce_sum(tf.square(images - parameters), axis=_PIXELS)
        dimensions = tf.cast(tf.reduce_prod(tf.shape(images)[-3:]), tf.float32)
        return -0.5 * squared_error / sigma**2 - dimensions * (tf.math.log(sigma) + 0.5 * math.log(2 * math.pi))

    def mean(self, parameters):
        return tf.clip_by_value(parameters, 0.0, 1.0)

    def observe(self, images, parameters, weights):
        if self.sigma_setting == "learned":  # Below the bound it would have no gradient to come back by.
            bound = math.log(SMALLEST_SIGMA) / _SIGMA_GAIN
            self.scaled_log_sigma.assign(tf.maximum(tf.convert_to_tensor(self.scaled_log_sigma), bound))
        if self.sigma_setting != "optimal":
            return
        errors = tf.reduce_mean(tf.square(images - parameters), axis=_PIXELS)  # [B]
        mean_squared_error = tf.math.divide_no_nan(tf.reduce_sum(errors * weights), tf.reduce_sum(weights))
        # The momentum grows into its value, so that the first steps are not averaged with a guess.
        count = tf.convert_to_tensor(self.observations)
        momentum = tf.minimum(self.momentum, count / (count + 1.0))
        self.observations.assign(count + 1.0)
        variance = momentum * tf.square(self.sigma) + (1.0 - momentum) * mean_squared_error
        log_sigma = 0.5 * tf.math.log(tf.maximum(variance, SMALLEST_SIGMA**2))
        self.scaled_log_sigma.assign(log_sigma / _SIGMA_GAIN)

    def get_config(self):
        return {**super().get_config(), "sigma": self.sigma_setting, "momentum": self.momentum}


@keras.saving.register_keras_serializable("tfvae")
class Bernoulli(Likelihood):
    """Independent Bernoulli pixels with the parameters as logits.

    A likelihood of binary images. Of grey values in between it is the cross-entropy, which many use as a loss but
    which is no density (Loaiza-Ganem and Cunningham 2019).
    """

    def log_prob(self, images, parameters):
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(
            labels=tf.broadcast_to(images, tf.shape(parameters)), logits=parameters
        )
        return -tf.reduce_sum(cross_entropy, axis=_PIXELS)

    def mean(self, parameters):
        return tf.sigmoid(parameters)


@keras.saving.register_keras_serializable("tfvae")
class DiscretisedLogistic(Likelihood):
    """A logistic distribution rounded to 256 levels (Kingma et al. 2016, appendix; Salimans et al. 2017, section 2.1).

    The decoder gives a mean and a log-scale for each pixel and channel. The probability of a level is the mass between
    its neighbours' midpoints; the first and the last level take the tails. log p is of a probability, not of a density.
    """

    parameters_per_channel = 2

    def log_prob(self, images, parameters):
        mean, log_scale = tf.split(parameters, 2, axis=-1)
        inverse_scale = tf.exp(-tf.clip_by_value(log_scale - 2.0, -7.0, 5.0))  # Starts near e^-2 of the pixel range.
        above = (images - mean + 0.5 / 255) * inverse_scale
        below = (images - mean - 0.5 / 255) * inverse_scale
        # log(sigmoid(above) - sigmoid(below)), in a form that neither cancels nor overflows.
        inside = (
            tf.math.log_sigmoid(above) + tf.math.log_sigmoid(-below) + tf.math.log(-tf.math.expm1(-inverse_scale / 255))
        )
        log_mass = tf.where(
            images < 0.5 / 255,
            tf.math.log_sigmoid(above),
            tf.where(images > 1 - 0.5 / 255, tf.math.log_sigmoid(-below), inside),
        )
        return tf.reduce_sum(log_mass, axis=_PIXELS)

    def mean(self, parameters):
        return tf.clip_by_value(tf.split(parameters, 2, axis=-1)[0], 0.0, 1.0)
