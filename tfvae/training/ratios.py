"""Which of several drawn codes becomes an image: a network that tells drawn codes from those of images decides.

No sampler fits the codes of images exactly: it draws some colours too often and others hardly ever. A network that is
trained to tell the two apart knows the logarithm of the ratio of their densities (Sugiyama et al. 2012), and of some
candidates one that is chosen in proportion to this ratio is distributed more as the codes of images are
(sampling-importance resampling: Rubin 1987; priors that reject: Bauer and Mnih 2019).
"""

import keras
import numpy as np
import tensorflow as tf

from tfvae.training import samplers

_FEWEST = 1_000  # Training images; of fewer the network would learn each by heart.
_MOST = 10_000
_BATCH = 100
_STDS = (0.5, 1.25)  # Of the noise of drawn codes: the network is told which, so that it knows each ratio.
_UNITS, _DROPOUT, _EPOCHS, _PATIENCE = 256, 0.3, 30, 4


def make(vae, sampler, settings, load):
    """Returns what `serving.export` takes as its log-ratio, as `--candidates` says; None where there is no choice.

    It is a model from latents and the standard deviation of their noise, [B, Z + 1], to logarithms [B, 1].

    Args:
        vae: A `tfvae.VAE`; the weights are taken as they are.
        sampler: What maps noise to latents, with `from_base`.
        settings: A `config.ModelConfig`, with a seed.
        load: Called without arguments, for the `data.Data` to learn from, where it is needed.
    """
    if settings.candidates == 1:
        return None
    images = load()
    if images.num_training < _FEWEST:
        print(
            f"candidates: no choice between drawn codes, for {images.num_training:,} training images are too few to "
            f"learn one from ({_FEWEST:,} are enough)",
            flush=True,
        )
        return None
    numbers = images.spread("train", _MOST)
    random = np.random.default_rng(settings.seed)
    noise = random.standard_normal((len(numbers), vae.latent_dim), np.float32)
    stds = np.float32(random.uniform(*_STDS, (len(numbers), 1)))

    def inputs(vectors, latents_of):
        @tf.function(input_signature=[tf.TensorSpec([None, vae.latent_dim])], autograph=False)
        def refined(vectors):
            return vae.refine(latents_of(vectors), settings.refine)

        parts = [refined(vectors[start : start + _BATCH]) for start in range(0, len(vectors), _BATCH)]
        return np.concatenate([np.concatenate(parts), stds], axis=1)

    codes = inputs(samplers.posterior_of(vae, images, "train", numbers).mean, tf.identity)
    log_ratio, accuracy = fit(codes, inputs(stds * noise, sampler.from_base), settings.seed)
    print(
        f"candidates: a network tells drawn codes from those of {len(numbers):,} images in {accuracy:.1%} of held-out "
        f"ones (by chance: 50%); of {settings.candidates} it chooses one",
        flush=True,
    )
    return log_ratio


class _Batches(keras.utils.PyDataset):
    """Batches of 256, in another order each epoch; TensorFlow's own shuffling would depend on its global seed, too."""

    def __init__(self, inputs, labels, random):
        super().__init__()
        self._inputs, self._labels, self._random = inputs, labels, random
        self.on_epoch_end()

    def on_epoch_end(self):
        self._order = self._random.permutation(len(self._inputs))

    def __len__(self):
        return -(-len(self._order) // 256)

    def __getitem__(self, number):
        rows = self._order[256 * number : 256 * (number + 1)]
        return self._inputs[rows], self._labels[rows]


def fit(codes, drawn, seed=0):
    """Trains a classifier, whose logit is the log-ratio of densities as there are as many of the one as of the other.

    Args:
        codes: [N, n] float32, of images.
        drawn: [N, n] float32, by a sampler.
        seed: Of the first weights, the order and the dropout.

    Returns:
        (a Keras model from [B, n] to log p(codes) / p(drawn) [B, 1] in nats, its accuracy on the tenth held out).
    """
    inputs = np.concatenate([codes, drawn])
    labels = np.repeat(np.float32([1, 0]), [len(codes), len(drawn)])
    random = np.random.default_rng(seed)
    order = random.permutation(len(inputs))
    held, rest = np.split(order, [len(order) // 10])
    layers, glorot = keras.layers, keras.initializers.GlorotUniform
    network = keras.Sequential([
        keras.Input(codes.shape[1:]),
        layers.Normalization(mean=codes.mean(axis=0), variance=codes.var(axis=0) + 1e-6),
        layers.Dense(_UNITS, "silu", kernel_initializer=glorot(seed)),
        layers.Dropout(_DROPOUT, seed=seed),
        layers.Dense(_UNITS, "silu", kernel_initializer=glorot(seed + 1)),
        layers.Dropout(_DROPOUT, seed=seed + 1),
        layers.Dense(1, kernel_initializer="zeros"),
    ])  # fmt: skip
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    validation = (inputs[held], labels[held])
    stop = keras.callbacks.EarlyStopping(patience=_PATIENCE, restore_best_weights=True)
    batches = _Batches(inputs[rest], labels[rest], random)
    network.fit(batches, epochs=_EPOCHS, validation_data=validation, callbacks=[stop], shuffle=False, verbose=0)
    return network, network.evaluate(*validation, verbose=0, return_dict=True)["binary_accuracy"]
