"""Posterior collapse: told to the user when it is seen, with what to try."""

import sys

import keras
import tensorflow as tf

_ACTIVE = 0.01  # Burda, Grosse and Salakhutdinov 2016, for posteriors of about unit variance: here relative to theirs.


def active_units(posterior):
    """Returns how many latents tell images apart, int32: those whose means vary against what the posterior leaves open.

    Args:
        posterior: The `DiagonalGaussian` of at least two images.
    """
    spread = tf.math.reduce_variance(posterior.mean, axis=0)
    left_open = tf.reduce_mean(tf.exp(posterior.log_variance), axis=0)
    return tf.math.count_nonzero(spread > _ACTIVE * left_open, dtype=tf.int32)


class Collapse(keras.callbacks.Callback):
    """Says once, after the first epoch in which it is so, that no latent depends on the image.

    Args:
        images: Validation images [n, H, W, C] float32; of fewer than two nothing is said.
        settings: The `config.TrainConfig`.
    """

    def __init__(self, images, settings):
        super().__init__()
        self._images, self._settings, self._told = images, settings, len(images) < 2

    def on_epoch_end(self, epoch, logs=None):
        if self._told:
            return
        with self.model.averaged_weights():
            active = int(self._active())
        if not active:
            self._told = True
            print(
                f"epoch {epoch + 1}: posterior collapse, 0 of {self.model.latent_dim} latents depend on the image. If "
                f"it stays so, every reconstruction will be the same picture: try {self._remedies()}.",
                file=sys.stderr,
                flush=True,
            )

    @tf.function
    def _active(self):
        return active_units(self.model.encode(self._images))

    def _remedies(self):
        settings, tried = self._settings, []
        if settings.objective == "beta" and self.model.objective.schedule.value > 1:
            tried.append("a lower --beta")
        if settings.likelihood == "gaussian_fixed":
            tried.append("--likelihood=gaussian, or a smaller --sigma")
        if settings.objective != "free_bits":
            tried.append("--objective=free_bits")
        if settings.beta_schedule == "constant":
            tried.append("--objective=beta --beta_schedule=linear")
        return "; ".join([*tried, "another --lr"])
