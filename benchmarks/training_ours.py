"""The trainings of TensorFlow that `training.py` times: ours, keras.io's, and the machine's matrix product."""

import importlib
import math
import sys

import keras
import tensorflow as tf
import training_worker

from tfvae import config

fit = importlib.import_module("tfvae.training.fit")
SIZE = 60


def multiply_adds(vae):
    """Returns the multiply-adds of one image's way through the networks and the prior, without elementwise work."""
    total = 0
    for layer in (*vae.encoder.layers, *vae.decoder.layers):
        if isinstance(layer, keras.layers.Conv2D):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total + sum(math.prod(w.shape) for w in vae.prior.trainable_variables if len(w.shape) == 3)


def ours(batch_size):
    """The default training of `python -m tfvae.train`, on images that lie in memory."""
    vae = fit._compiled(config.TrainConfig(batch_size=batch_size), (SIZE, SIZE, 3), 10_000 // batch_size)

    def prepare():
        vae.make_train_function()
        batch = (_images(batch_size), tf.ones(batch_size))
        return _stepper(vae.train_function, batch, vae.steps_per_execution, lambda: vae.recent_losses.numpy())

    training_worker.serve(prepare, batch_size, parameters=vae.count_params(), megaflop=6e-6 * multiply_adds(vae))


def keras_io(batch_size):
    """The example of keras.io (strided and transposed convolutions, default compile) on 60 x 60 colour images."""
    layers = keras.layers
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(images)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    encoder = keras.Model(images, [layers.Dense(64)(x), layers.Dense(64)(x)])
    latents = keras.Input((64,))
    x = layers.Reshape((15, 15, 64))(layers.Dense(15 * 15 * 64, activation="relu")(latents))
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    decoder = keras.Model(latents, layers.Conv2DTranspose(3, 3, activation="sigmoid", padding="same")(x))

    class Example(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.loss_value = tf.Variable(0.0, trainable=False)

        def train_step(self, images):
            with tf.GradientTape() as tape:
                mean, log_variance = self.encoder(images)
                noise = tf.random.normal(tf.shape(mean))
                decoded = self.decoder(mean + tf.exp(0.5 * log_variance) * noise)
                errors = tf.reduce_sum(keras.losses.binary_crossentropy(images, decoded), axis=(1, 2))
                divergence = -0.5 * (1 + log_variance - tf.square(mean) - tf.exp(log_variance))
                loss = tf.reduce_mean(errors) + tf.reduce_mean(tf.reduce_sum(divergence, axis=1))
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights, strict=True)
            )
            self.loss_value.assign(loss)
            return {"loss": loss}

    model = Example()
    model.compile(optimizer=keras.optimizers.Adam())

    def prepare():
        model.make_train_function()
        return _stepper(model.train_function, _images(batch_size), 1, lambda: model.loss_value.numpy())

    parameters = encoder.count_params() + decoder.count_params()
    training_worker.serve(prepare, batch_size, parameters=parameters)


def matrix_product(batch_size):
    """Products of two float32 matrices 2000 x 2000: a step is one, and an "image" one batch_size-th of it."""
    a, b = tf.random.uniform((2000, 2000), seed=1), tf.random.uniform((2000, 2000), seed=2)
    product = tf.function(lambda: tf.matmul(a, b))

    def steps(count):
        for _ in range(count):
            result = product()
        result.numpy()
        return count

    training_worker.serve(lambda: steps, batch_size, megaflop=2 * 2000**3 / 1e6 / batch_size)


def _images(batch_size):
    return tf.random.uniform((batch_size, SIZE, SIZE, 3), seed=0)


def _stepper(function, batch, steps_per_call, wait):
    """Returns `steps` for `training_worker.serve`, of a Keras train function fed with one batch for ever."""
    iterator = iter(tf.data.Dataset.from_tensors(batch).repeat())

    def steps(count):
        calls = -(-count // steps_per_call)
        for _ in range(calls):
            function(iterator)
        wait()
        return calls * steps_per_call

    return steps


if __name__ == "__main__":
    {"ours": ours, "keras.io": keras_io, "matrix product": matrix_product}[sys.argv[1]](int(sys.argv[2]))
