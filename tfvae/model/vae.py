"""The variational autoencoder: encode, reparameterize, decode, and the step that maximises its objective."""

import functools
import inspect
from typing import NamedTuple

import keras
import tensorflow as tf

from tfvae import noise as noises
from tfvae.model import inputs
from tfvae.model.posteriors import DiagonalGaussian

# Noise of training and of evaluation never meets: each has its own stream of one seed.
_TRAINING, _EVALUATION = 0, 1

# The losses of this many last steps are kept: as many may run before anybody looks at them.
RECENT = 32


class Terms(NamedTuple):
    """What the bound consists of, for each image: elbo = -distortion - rate."""

    loss: tf.Tensor  # [B] the objective, minimised; under the ELBO it is distortion + rate
    distortion: tf.Tensor  # [B] -log p(x|z), nats
    rate: tf.Tensor  # [B] KL(q(z|x) || p(z)), nats
    squared_error: tf.Tensor  # [B] summed over H, W and C, of the expected image
    parameters: tf.Tensor  # [B, H, W, P] what the decoder returned


@keras.saving.register_keras_serializable("tfvae")
class VAE(keras.Model):
    """A variational autoencoder (Kingma and Welling 2014; Rezende, Mohamed and Wierstra 2014).

    Compile it with an optimizer alone and `fit` it to images [B, H, W, C], uint8 or floats in [0, 1]. Weights [B] come
    as `sample_weight`, or as the third part of a batch (images, images, weights); a weight of 0 marks padding. Targets
    are not needed; where there are some, they are the images. `fit`, `evaluate` and `predict` raise a ValueError of one
    line where they get anything else; see `tfvae.model.inputs`.

    Args:
        encoder: A model from images [B, H, W, C] to the posterior's parameters [B, 2 Z].
        decoder: A model from latents [B, Z] to the likelihood's parameters [B, H, W, P].
        likelihood: One of `tfvae.model.likelihoods`.
        prior: One of `tfvae.model.priors`.
        objective: One of `tfvae.model.objectives`.
        ema: Momentum of the moving average of the weights (see `averaged_weights`); 0 for none.
        seed: Seed of the noise, 0 to 2^31 - 1.
    """

    def __init__(self, encoder, decoder, likelihood, prior, objective, ema=0.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.prior, self.objective = likelihood, prior, objective
        self.ema, self.seed = ema, seed
        self.trackers = {name: keras.metrics.Mean(name) for name in ("loss", "distortion", "rate", "squared_error")}
        # Outside the list of weights: a copy of them is no part of the model, but is of its checkpoints.
        self.averages = [
            tf.Variable(w.value, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
            for w in (self.trainable_variables if ema else ())
        ]
        # The loss of step n is at n % RECENT.
        self.recent_losses = tf.Variable(tf.zeros(RECENT), trainable=False, aggregation=tf.VariableAggregation.MEAN)
        self.built = True

    @property
    def image_shape(self):
        """(H, W, C)."""
        return tuple(self.encoder.input_shape[1:])

    @property
    def latent_dim(self):
        """Z."""
        return self.decoder.input_shape[-1]

    @property
    def metrics(self):
        return list(self.trackers.values())

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        bound = inspect.signature(super().fit).bind(*args, **kwargs)
        given = bound.arguments
        given["y"] = inputs.check("VAE.fit", self.image_shape, **given)
        if given.get("validation_data") is not None:
            x, y, weights = keras.utils.unpack_x_y_sample_weight(given["validation_data"])
            y = inputs.check("VAE.fit's validation_data", self.image_shape, x, y, weights)
            given["validation_data"] = x, y, weights
        return super().fit(*bound.args, **bound.kwargs)

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args, **kwargs):
        bound = inspect.signature(super().evaluate).bind(*args, **kwargs)
        if not kwargs.get("_use_cached_eval_dataset"):  # Else `fit` has checked its validation data.
            bound.arguments["y"] = inputs.check("VAE.evaluate", self.image_shape, **bound.arguments)
        return super().evaluate(*bound.args, **bound.kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, *args, **kwargs):
        given = inspect.signature(super().predict).bind(*args, **kwargs).arguments
        inputs.check("VAE.predict", self.image_shape, given.get("x"), targets_count=False)
        return super().predict(*args, **kwargs)

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        y = inputs.check("VAE.train_on_batch", self.image_shape, x, y, sample_weight, kwargs.pop("class_weight", None))
        return super().train_on_batch(x, y, sample_weight, **kwargs)

    @functools.wraps(keras.Model.test_on_batch)
    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        y = inputs.check("VAE.test_on_batch", self.image_shape, x, y, sample_weight)
        return super().test_on_batch(x, y, sample_weight, **kwargs)

    def encode(self, images, training=False):
        """Returns the posterior q(z|x), a `DiagonalGaussian`, of images [B, H, W, C], uint8 or floats in [0, 1]."""
        images = inputs.scaled(images, self.image_shape)
        return DiagonalGaussian.from_parameters(self.encoder(images, training=training))

    def reparameterize(self, posterior, noise):
        """Returns latents [B, Z] from the posterior and noise [B, Z] from N(0, I), differentiable in the posterior."""
        return posterior.sample(noise)

    def decode(self, latents, training=False):
        """Returns the expected images [B, H, W, C] in [0, 1] of latents [B, Z]."""
        return self.likelihood.mean(self._likelihood_parameters(latents, training))

    def call(self, images, training=False):
        """Returns reconstructions [B, H, W, C] in [0, 1] from the posterior means of images like those of `encode`."""
        return self.decode(self.encode(images, training).mean, training)

    def _likelihood_parameters(self, latents, training):
        # float32 also under mixed precision: the bound sums thousands of terms.
        return tf.cast(self.decoder(latents, training=training), tf.float32)

    def log_likelihood(self, images, latents):
        """Returns log p(x|z) in nats and the squared error of the expected image, both [B], at latents [B, Z]."""
        parameters = self._likelihood_parameters(latents, training=False)
        return self.likelihood.log_prob(images, parameters), self._squared_error(images, parameters)

    def _squared_error(self, images, parameters):
        return tf.reduce_sum(tf.square(images - self.likelihood.mean(parameters)), axis=[1, 2, 3])

    def terms(self, images, noise, step, training=False):
        """Computes the objective and its parts; training and validation both call this.

        Args:
            images: [B, H, W, C] float32 in [0, 1].
            noise: [B, Z] float32 from N(0, I).
            step: Optimizer steps taken so far, for objectives that change.
            training: Passed on to the networks.

        Returns:
            `Terms`.
        """
        posterior = self.encode(images, training)
        latents = self.reparameterize(posterior, noise)
        parameters = self._likelihood_parameters(latents, training)
        distortion = -self.likelihood.log_prob(images, parameters)
        rates = self.prior.rates(posterior, latents)
        squared_error = self._squared_error(images, parameters)
        loss = self.objective(distortion, rates, step)
        return Terms(loss, distortion, tf.reduce_sum(rates, axis=-1), squared_error, parameters)

    def noise(self, batch_size, stream, step):
        """Returns N(0, I) noise [B, Z] that depends on nothing but the seed, the stream, the step and the replica.

        Stateless, so that a resumed run draws what an uninterrupted one does, and compiled code what plain code does.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int32) if context else 0
        number = (2 * tf.cast(step, tf.int32) + stream) * replicas + replica
        seed = tf.stack([tf.constant(self.seed), number])[tf.newaxis]
        return tf.reshape(noises.normal(seed, batch_size * self.latent_dim), [batch_size, self.latent_dim])

    def train_step(self, data):
        images, weights = inputs.unpack(data, self.image_shape, "VAE.fit")
        step = tf.convert_to_tensor(self.optimizer.iterations)
        noise = self.noise(tf.shape(images)[0], _TRAINING, step)
        with tf.GradientTape() as tape:
            terms = self.terms(images, noise, step, training=True)
            loss = tf.math.divide_no_nan(tf.reduce_sum(terms.loss * weights), tf.reduce_sum(weights))
            # The optimizer sums the gradients of all replicas.
            scaled = self.optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        self.likelihood.observe(images, terms.parameters, weights)
        self._update_averages(tf.cast(step, tf.float32))
        here = tf.range(RECENT) == tf.cast(step, tf.int32) % RECENT
        self.recent_losses.assign(tf.where(here, loss, tf.convert_to_tensor(self.recent_losses)))
        return self._update_metrics(terms, weights)

    def test_step(self, data):
        images, weights = inputs.unpack(data, self.image_shape, "VAE.evaluate")
        # The images seen since the metrics were reset number the batch: each evaluation draws the same noise.
        seen = tf.convert_to_tensor(self.trackers["loss"].count)
        noise = self.noise(tf.shape(images)[0], _EVALUATION, seen)
        step = getattr(self.optimizer, "iterations", 0)
        return self._update_metrics(self.terms(images, noise, tf.convert_to_tensor(step)), weights)

    def _update_metrics(self, terms, weights):
        for name, tracker in self.trackers.items():
            tracker.update_state(getattr(terms, name), sample_weight=weights)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _update_averages(self, step):
        # The momentum grows into its value (as in Adam's bias correction): a short run is averaged over its own length.
        momentum = tf.minimum(self.ema, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self.averages, self.trainable_variables, strict=False):
            average.assign(momentum * average + (1.0 - momentum) * tf.convert_to_tensor(variable))

    def averaged_weights(self):
        """Returns a context in which the weights are their moving averages: for validation, pictures and export."""
        return _Averaged(self)

    def get_config(self):
        parts = ("encoder", "decoder", "likelihood", "prior", "objective")
        config = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in parts}
        return {**super().get_config(), **config, "ema": self.ema, "seed": self.seed}

    @classmethod
    def from_config(cls, config):
        parts = ("encoder", "decoder", "likelihood", "prior", "objective")
        return cls(**{**config, **{name: keras.saving.deserialize_keras_object(config[name]) for name in parts}})


class _Averaged:
    """Puts a model's averaged weights in place of its weights, and back, bit for bit."""

    def __init__(self, model):
        self._model = model

    def __enter__(self):
        self._kept = [variable.numpy() for variable in self._model.trainable_variables] if self._model.ema else []
        for variable, average in zip(self._model.trainable_variables, self._model.averages, strict=False):
            variable.assign(average)

    def __exit__(self, *_):
        for variable, kept in zip(self._model.trainable_variables, self._kept, strict=False):
            variable.assign(kept)
