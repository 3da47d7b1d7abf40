"""Objectives: the loss of each image, [B] in nats, from its distortion [B] and its rates [B, G]. The loss is minimised.

Each is a small serialisable object called with (distortion, rates, step).
"""

import keras
import tensorflow as tf

from tfvae.model.schedules import Schedule


@keras.saving.register_keras_serializable("tfvae")
class ELBO:
    """-elbo = distortion + rate (Kingma and Welling 2014, equation 3)."""

    def __call__(self, distortion, rates, step):
        del step
        return distortion + tf.reduce_sum(rates, axis=-1)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("tfvae")
class Beta:
    """distortion + beta(step) * rate (Higgins et al. 2017; with beta = 1 the ELBO).

    Args:
        schedule: A `Schedule` of beta.
    """

    def __init__(self, schedule=None):
        self.schedule = schedule or Schedule()

    def __call__(self, distortion, rates, step):
        return distortion + self.schedule(step) * tf.reduce_sum(rates, axis=-1)

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]))


@keras.saving.register_keras_serializable("tfvae")
class FreeBits:
    """distortion + sum over groups of max(rate, free nats of the group) (Kingma et al. 2016, section 4, per image).

    Args:
        nats: Free nats of each group of latents: of one latent under N(0, I), of all of them under a flow.
    """

    def __init__(self, nats):
        self.nats = nats

    def __call__(self, distortion, rates, step):
        del step
        return distortion + tf.reduce_sum(tf.maximum(rates, self.nats), axis=-1)

    def get_config(self):
        return {"nats": self.nats}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
