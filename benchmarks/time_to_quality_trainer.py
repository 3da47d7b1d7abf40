"""Trains one of the models of `time_to_quality.py`, a number of steps at a time, as it is asked to.

`python time_to_quality_trainer.py NAME IMAGES.npz SCRATCH`, in the environment that has what NAME needs. Requests come
as JSON, a line each, on standard input: {"steps": 400, "seconds": 60} trains so many steps, or those of so many
seconds where they are fewer, and answers how many and how long they took; {} answers how good the model is on the test
images. Each model trains in its own library's loop, which a callback holds up while nothing is asked.
"""

import json
import math
import os
import sys
import time

import numpy as np

LATENTS, BATCH = 64, 5


def quality(images, reconstruct):
    """Returns the figures of a model on test images.

    Args:
        images: [N, H, W, C] uint8.
        reconstruct: Function of images [B, H, W, C] in [0, 1] and noise [B, Z] that returns the images expected at
            the posterior's mean, those expected at the sample of that noise, and the rate [B] in nats.

    Returns:
        psnr: 10 log10(1 / MSE) of the first, the MSE over all images; rate: the mean; sigma: the root of the MSE of
        the second; elbo: -(rate + H W C (log(2 pi sigma^2) + 1) / 2), which is that of a Gaussian likelihood with the
        one sigma that is best on these images.
    """
    random, parts = np.random.default_rng(0), []
    for start in range(0, len(images), 100):
        batch = images[start : start + 100].astype(np.float32) / 255
        noise = random.standard_normal((len(batch), LATENTS), np.float32)
        from_mean, from_sample, rates = (np.asarray(values) for values in reconstruct(batch, noise))
        parts.append([np.square(from_mean - batch).sum(), np.square(from_sample - batch).sum(), rates.sum()])
    mean_error, sample_error, rate = np.sum(parts, axis=0, dtype=np.float64) / len(images)
    dimensions = math.prod(images.shape[1:])
    variance = sample_error / dimensions
    elbo = -rate - dimensions / 2 * (math.log(2 * math.pi * variance) + 1)
    psnr = -10 * math.log10(mean_error / dimensions)
    return {"psnr": psnr, "elbo": elbo, "rate": rate, "sigma": math.sqrt(variance)}


class Requests:
    """What a training loop calls: holds it up until steps are asked for, and answers once they are taken."""

    def __init__(self, weights, images, reconstruct):
        self._quality = lambda: quality(images, reconstruct)
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # Whatever else is printed is no answer.
        self._answer({"weights": weights})

    def _answer(self, answer):
        print(json.dumps(answer), file=self._answers, flush=True)

    def serve(self):
        """Answers until steps are asked for; the clock runs from its return."""
        for line in sys.stdin:
            self._asked = json.loads(line)
            if self._asked:
                self._taken, self._began = 0, time.perf_counter()
                return
            self._answer(self._quality())
        sys.exit()

    def stepped(self, steps=1):
        """Counts steps, after each or after some."""
        self._taken += steps
        seconds = time.perf_counter() - self._began
        if self._taken >= self._asked["steps"] or seconds >= self._asked["seconds"]:
            self._answer({"steps": self._taken, "seconds": seconds})
            self.serve()


def keras_callback(requests):
    """Returns the callback of both trainings with Keras."""
    import keras

    class Callback(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self._step = 0
            requests.serve()

        def on_train_batch_end(self, batch, logs=None):
            before, self._step = self._step, int(self.model.optimizer.iterations)  # Several steps may run at once.
            requests.stepped(self._step - before)

    return Callback()


def tfvae(images, _):
    """The default recipe: the settings, pipeline, model, optimizer and averaged weights of `python -m tfvae.train`."""
    import keras
    import tensorflow as tf

    from tfvae import config, data, model
    from tfvae.model import schedules

    settings = config.TrainConfig()
    loaded = data.load(settings)
    steps = loaded.steps_per_epoch
    vae = model.build(settings, loaded.image_shape, steps, ema=settings.ema, seed=settings.seed)
    rate = schedules.learning_rate(settings.lr, settings.lr_end, settings.epochs * steps)
    vae.compile(keras.optimizers.Adam(rate), jit_compile=settings.jit, steps_per_execution=settings.steps_per_execution)

    @tf.function
    def evaluate(batch, noise):
        posterior = vae.encode(batch)
        latents = vae.reparameterize(posterior, noise)
        rates = tf.reduce_sum(vae.prior.rates(posterior, latents), axis=-1)
        return vae.decode(posterior.mean), vae.decode(latents), rates

    def reconstruct(batch, noise):
        with vae.averaged_weights():
            return evaluate(batch, noise)

    requests = Requests(count_weights(vae), images["test"], reconstruct)
    callbacks = [keras_callback(requests)]
    fit = {"epochs": settings.epochs, "steps_per_epoch": steps, "callbacks": callbacks}
    vae.fit(loaded.training, shuffle=False, verbose=0, **fit)


def count_weights(model):
    return int(sum(np.prod(variable.shape) for variable in model.trainable_variables))


def keras_io(images, _):
    """The VAE of keras.io/examples/generative/vae, scaled from 28 x 28 x 1 to the images' shape.

    As published: layers, channels and kernels, binary cross-entropy (whose mean over the channels is summed over the
    pixels), Adam with its defaults, `compile` with its defaults, `fit` on an array. Scaled: 15 x 15 x 64 instead of
    7 x 7 x 64 between the convolutions and the latents, 3 channels instead of 1, 64 latents instead of 2 (those of the
    other models), and 128 units instead of 16 before them, for 16 would let through less than 64 latents hold.
    """
    import keras
    import tensorflow as tf
    from keras import layers, ops

    keras.utils.set_random_seed(0)
    height, width, channels = images["test"].shape[1:]
    relu = {"activation": "relu", "padding": "same", "strides": 2}

    class Sampling(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs):
            mean, log_variance = inputs
            noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
            return mean + ops.exp(0.5 * log_variance) * noise

    inputs = keras.Input((height, width, channels))
    x = layers.Conv2D(64, 3, **relu)(layers.Conv2D(32, 3, **relu)(inputs))
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    mean, log_variance = layers.Dense(LATENTS)(x), layers.Dense(LATENTS)(x)
    encoder = keras.Model(inputs, [mean, log_variance, Sampling()([mean, log_variance])])

    latents = keras.Input((LATENTS,))
    x = layers.Dense(height // 4 * (width // 4) * 64, activation="relu")(latents)
    x = layers.Reshape((height // 4, width // 4, 64))(x)
    x = layers.Conv2DTranspose(32, 3, **relu)(layers.Conv2DTranspose(64, 3, **relu)(x))
    decoder = keras.Model(latents, layers.Conv2DTranspose(channels, 3, activation="sigmoid", padding="same")(x))

    def kl(mean, log_variance):
        return ops.sum(-0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance)), axis=1)

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.loss_tracker = keras.metrics.Mean(name="loss")

        @property
        def metrics(self):
            return [self.loss_tracker]

        def train_step(self, batch):
            with tf.GradientTape() as tape:
                mean, log_variance, z = self.encoder(batch)
                pixels = keras.losses.binary_crossentropy(batch, self.decoder(z))
                loss = ops.mean(ops.sum(pixels, axis=(1, 2))) + ops.mean(kl(mean, log_variance))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self.loss_tracker.update_state(loss)
            return {"loss": self.loss_tracker.result()}

    vae = VAE()
    vae.compile(optimizer=keras.optimizers.Adam())

    @tf.function
    def reconstruct(batch, noise):
        mean, log_variance, _ = encoder(batch)
        return decoder(mean), decoder(mean + ops.exp(0.5 * log_variance) * noise), kl(mean, log_variance)

    requests = Requests(count_weights(vae), images["test"], reconstruct)
    training = images["train"].astype("float32") / 255
    vae.fit(training, epochs=10_000, batch_size=BATCH, callbacks=[keras_callback(requests)], verbose=0)


def pythae(images, scratch):
    """pythae's `VAE` and `BaseTrainer`, all defaults, with its convolutional networks for 64 x 64 RGB (CelebA).

    Images are padded to 64 x 64 by their edge pixels; reconstructions are cropped.
    """
    import torch
    from pythae.data.preprocessors import DataProcessor
    from pythae.models import VAE, VAEConfig
    from pythae.models.nn.benchmarks.celeba import Decoder_Conv_AE_CELEBA, Encoder_Conv_VAE_CELEBA
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    size = 64
    height, width, channels = images["test"].shape[1:]
    top, left = (size - height) // 2, (size - width) // 2
    torch.manual_seed(0)
    config = VAEConfig(input_dim=(channels, size, size), latent_dim=LATENTS)
    vae = VAE(config, encoder=Encoder_Conv_VAE_CELEBA(config), decoder=Decoder_Conv_AE_CELEBA(config))

    def padded(batch):
        sides = ((0, 0), (top, size - height - top), (left, size - width - left), (0, 0))
        return torch.from_numpy(np.pad(batch, sides, "edge").transpose(0, 3, 1, 2).copy())

    def device():
        return next(vae.parameters()).device  # The trainer moves it to a GPU where there is one.

    def decoded(latents):
        decoded = vae.decoder(latents).reconstruction.permute(0, 2, 3, 1)
        return decoded[:, top : top + height, left : left + width].cpu().numpy()

    @torch.inference_mode()
    def reconstruct(batch, noise):
        vae.eval()
        posterior = vae.encoder(padded(batch).to(device()))
        mean, log_variance = posterior.embedding, posterior.log_covariance
        rates = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp(), dim=-1)
        noise = torch.from_numpy(noise).to(device())
        images = decoded(mean), decoded(mean + torch.exp(0.5 * log_variance) * noise)
        vae.train()
        return *images, rates.cpu().numpy()

    requests = Requests(sum(weight.numel() for weight in vae.parameters()), images["test"], reconstruct)

    class Callback(TrainingCallback):
        def on_train_begin(self, *_, **__):
            requests.serve()

        def on_train_step_end(self, *_, **__):
            requests.stepped()

    training = padded(images["train"].astype(np.float32) / 255)
    settings = BaseTrainerConfig(output_dir=scratch, per_device_train_batch_size=BATCH, num_epochs=10_000)
    dataset = DataProcessor.to_dataset(training)
    BaseTrainer(vae, dataset, training_config=settings, callbacks=[Callback()]).train()


if __name__ == "__main__":
    name, path, scratch = sys.argv[1:]
    with np.load(path, allow_pickle=False) as images:
        {"tfvae": tfvae, "keras.io": keras_io, "pythae": pythae}[name](dict(images), scratch)
