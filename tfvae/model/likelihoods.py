"""Likelihoods p(x|z): what a decoder's output says of an image.

Each is a small Keras layer, since one of them has a weight, with
`parameters_per_pixel(channels)`: P, how many numbers the decoder gives for each pixel;
`log_prob(images, parameters)`: log p(x|z) in nats per image, summed (never averaged) over H, W and C: [..., B], of
images [B, H, W, C] in [0, 1] and of what the decoder returned, [..., B, H, W, P] float32;
`mean(parameters)`: the expected image [..., B, H, W, C], in [0, 1];
`observe(images, parameters, weights)`: called at each training step, for what is fitted in closed form.
"""

import math

import keras
import numpy as np
import tensorflow as tf

# The standard deviation of rounding a pixel to 256 levels: no sigma below it can be told from data.
SMALLEST_SIGMA = 1 / (255 * math.sqrt(12))
_PIXELS = [-3, -2, -1]  # The axes H, W, C.
# A learned log-sigma is a weight times this: Adam moves a weight by the learning rate a step, at 1e-4 too slow for a
# number that falls from log 0.5 to log 0.01.
_SIGMA_GAIN = 30.0


class Likelihood(keras.layers.Layer):
    """What most likelihoods share: a number for each channel, and nothing to fit in closed form."""

    def parameters_per_pixel(self, channels):
        """Returns P, the numbers that the decoder gives for each pixel of an image with C channels."""
        return channels

    def observe(self, images, parameters, weights):
        """Sees each training batch; `weights` [B] is 0 for padding."""


@keras.saving.register_keras_serializable("tfvae")
class Gaussian(Likelihood):
    """N(parameters, sigma^2) with one sigma for all pixels (sigma-VAE: Rybkin, Daniilidis and Levine 2021).

    Args:
        sigma: "learned" (a weight), "optimal" (the closed form: the root of the mean squared error, averaged over
            the last steps), or a number. 1/sqrt(2) makes -log p the sum of squared errors, up to a constant.
        sigmas: 1, or the number of channels: each has a sigma of its own.
        momentum: Of the average under "optimal".
    """

    def __init__(self, sigma="learned", sigmas=1, momentum=0.99, **kwargs):
        super().__init__(**kwargs)
        if sigma not in ("learned", "optimal") and not (isinstance(sigma, float | int) and sigma > 0):
            raise ValueError(f'sigma must be "learned", "optimal" or a positive number, got {sigma!r}.')
        self.sigma_setting, self.sigmas, self.momentum = sigma, sigmas, momentum
        # What a sigma is shared by: the axes that squared errors are summed over before they are divided by it.
        self._shared = _PIXELS if sigmas == 1 else _PIXELS[:2]
        start = 0.5 if isinstance(sigma, str) else sigma
        self.scaled_log_sigma = self.add_weight(
            name="scaled_log_sigma",
            shape=() if sigmas == 1 else (sigmas,),
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
        """The standard deviation now, in units of the pixel range [0, 1]: a scalar, or [C]."""
        return tf.maximum(tf.exp(_SIGMA_GAIN * tf.convert_to_tensor(self.scaled_log_sigma)), SMALLEST_SIGMA)

    def log_prob(self, images, parameters):
        sigma = self.sigma
        squared_error = tf.reduce_sum(tf.square(images - parameters), axis=self._shared)  # [..., B] or [..., B, C]
        shape = tf.shape(images)[-3:]
        dimensions = tf.cast(tf.reduce_prod(shape if self.sigmas == 1 else shape[:2]), tf.float32)
        log_prob = -0.5 * squared_error / sigma**2 - dimensions * (tf.math.log(sigma) + 0.5 * math.log(2 * math.pi))
        return log_prob if self.sigmas == 1 else tf.reduce_sum(log_prob, axis=-1)

    def mean(self, parameters):
        return tf.clip_by_value(parameters, 0.0, 1.0)

    def observe(self, images, parameters, weights):
        if self.sigma_setting == "learned":  # Below the bound it would have no gradient to come back by.
            bound = math.log(SMALLEST_SIGMA) / _SIGMA_GAIN
            self.scaled_log_sigma.assign(tf.maximum(tf.convert_to_tensor(self.scaled_log_sigma), bound))
        if self.sigma_setting != "optimal":
            return
        errors = tf.reduce_mean(tf.square(images - parameters), axis=self._shared)  # [B] or [B, C]
        weighted = tf.tensordot(weights, errors, 1)
        mean_squared_error = tf.math.divide_no_nan(weighted, tf.reduce_sum(weights))
        # The momentum grows into its value, so that the first steps are not averaged with a guess.
        count = tf.convert_to_tensor(self.observations)
        momentum = tf.minimum(self.momentum, count / (count + 1.0))
        self.observations.assign(count + 1.0)
        variance = momentum * tf.square(self.sigma) + (1.0 - momentum) * mean_squared_error
        log_sigma = 0.5 * tf.math.log(tf.maximum(variance, SMALLEST_SIGMA**2))
        self.scaled_log_sigma.assign(log_sigma / _SIGMA_GAIN)

    def get_config(self):
        own = {"sigma": self.sigma_setting, "sigmas": self.sigmas, "momentum": self.momentum}
        return {**super().get_config(), **own}


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


def _log_mass(images, mean, log_scale):
    """Returns the log-probability of a level under a logistic distribution that is rounded to 256 levels.

    The probability of a level is the mass between its neighbours' midpoints; the first and the last level take the
    tails. A log-scale of 0 is e^-2 of the pixel range.

    Args:
        images: [..., C] in [0, 1].
        mean, log_scale: [..., C].
    """
    inverse_scale = 1 / _scale(log_scale)
    above = (images - mean + 0.5 / 255) * inverse_scale
    below = (images - mean - 0.5 / 255) * inverse_scale
    # log(sigmoid(above) - sigmoid(below)), in a form that neither cancels nor overflows.
    inside = (
        tf.math.log_sigmoid(above) + tf.math.log_sigmoid(-below) + tf.math.log(-tf.math.expm1(-inverse_scale / 255))
    )
    return tf.where(
        images < 0.5 / 255,
        tf.math.log_sigmoid(above),
        tf.where(images > 1 - 0.5 / 255, tf.math.log_sigmoid(-below), inside),
    )


def _scale(log_scale):
    return tf.exp(tf.clip_by_value(log_scale - 2.0, -7.0, 5.0))


@keras.saving.register_keras_serializable("tfvae")
class DiscretisedLogistic(Likelihood):
    """A logistic distribution rounded to 256 levels (Kingma et al. 2016, appendix; Salimans et al. 2017, section 2.1).

    The decoder gives a mean and a log-scale for each pixel and channel. log p is of a probability, not of a density.
    `mean` is the distribution's own, cut to [0, 1]: what the tails add where it is cut is left out.
    """

    def parameters_per_pixel(self, channels):
        return 2 * channels

    def log_prob(self, images, parameters):
        return tf.reduce_sum(_log_mass(images, *tf.split(parameters, 2, axis=-1)), axis=_PIXELS)

    def mean(self, parameters):
        return tf.clip_by_value(tf.split(parameters, 2, axis=-1)[0], 0.0, 1.0)


@keras.saving.register_keras_serializable("tfvae")
class LogisticMixture(Likelihood):
    """A mixture of discretised logistics for each pixel (Salimans et al. 2017, section 2.1): flat colours, sharp edges.

    A component is a colour: its channels are independent given the component, which all channels share. (Salimans et
    al. condition channels on each other as well; without that the expected image has a closed form.) log p is of a
    probability, not of a density.

    Args:
        channels: C.
        components: Of each pixel's mixture.
    """

    def __init__(self, channels, components=5, **kwargs):
        super().__init__(**kwargs)
        if components < 1:
            raise ValueError(f"A mixture needs at least 1 component, got {components}.")
        self.channels, self.components = channels, components
        # A decoder begins near the same number everywhere: components that were equal would stay so.
        self._offsets = ((np.arange(components, dtype=np.float32) + 0.5) / components - 0.5)[:, np.newaxis]

    def parameters_per_pixel(self, channels):
        return self.components * (1 + 2 * channels)

    def _split(self, parameters):
        """Returns log-weights [..., H, W, K], means and log-scales [..., H, W, K, C]."""
        channels = self.components * self.channels
        logits, means, log_scales = tf.split(parameters, [self.components, channels, channels], axis=-1)
        shape = tf.concat([tf.shape(parameters)[:-1], [self.components, self.channels]], axis=0)
        return tf.nn.log_softmax(logits), tf.reshape(means, shape) + self._offsets, tf.reshape(log_scales, shape)

    def log_prob(self, images, parameters):
        log_weights, means, log_scales = self._split(parameters)
        colours = tf.reduce_sum(_log_mass(images[..., tf.newaxis, :], means, log_scales), axis=-1)
        return tf.reduce_sum(tf.reduce_logsumexp(log_weights + colours, axis=-1), axis=_PIXELS[1:])

    def mean(self, parameters):
        """Returns the expected image: exact but for the rounding to levels, which moves it by half a level at most."""
        log_weights, means, log_scales = self._split(parameters)
        scale = _scale(log_scales)
        # Of a logistic variable whose values outside of [0, 1] are moved to the nearer end: the integral of 1 - CDF.
        expected = scale * (tf.nn.softplus(means / scale) - tf.nn.softplus((means - 1) / scale))
        return tf.clip_by_value(tf.reduce_sum(tf.exp(log_weights)[..., tf.newaxis] * expected, axis=-2), 0.0, 1.0)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "components": self.components}
