"""Reads the attributes of images: a small classifier with a softmax for each attribute, the same for all models.

It is trained once for a data set at one size, and kept beside the prepared data (`shelf`). It never sees a model's
images, so that two models are read by the same eyes, but it is trained on images degraded as models degrade them
(`degradations`): one that knows clean images only misreads slightly noisy ones. A hidden attribute does not count.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvae.evaluation import degradations
from tfvae.evaluation.progress import progress_bar

_GRID = 15  # About so many cells high and wide is an image after the first layer.
_WIDTH, _FEATURES = 48, 128
_IMAGES = 96_000  # Images seen in training, each degraded in its own way.
_BATCH, _RATE = 64, 3e-3
_AT_ONCE = 256


def _network(image_shape, counts):
    """Returns a model from images [B, H, W, C] in [0, 1] to features [B, F] and logits [B, sum of `counts`].

    Drawn for a CPU: one space_to_depth, then convolutions of stride 1, which XLA compiles to fast code.
    """
    height, width, _ = image_shape
    block = max(1, round(max(height, width) / _GRID))
    last = {"data_format": "channels_last"}  # Whatever keras.json says.
    x = images = keras.Input(image_shape)
    x = keras.layers.ZeroPadding2D(((0, -height % block), (0, -width % block)), **last)(x - 0.5)
    x = keras.ops.concatenate(
        [x[:, row::block, column::block] for row in range(block) for column in range(block)], axis=-1
    )
    x = keras.layers.Conv2D(_WIDTH, 1, activation="silu", **last)(x)
    for _ in range(2):
        y = keras.layers.Conv2D(_WIDTH, 3, padding="same", activation="silu", **last)(x)
        x = keras.layers.BatchNormalization()(x + y)
    x = keras.layers.Flatten(**last)(keras.layers.Conv2D(32, 1, activation="silu", **last)(x))
    features = keras.layers.Dense(_FEATURES, activation="silu")(x)
    logits = keras.layers.Dense(sum(counts))(features)
    return keras.Model(images, [features, logits])


class Reader:
    """A trained classifier.

    Args:
        image_shape: (H, W, C).
        values: {attribute: tuple of str}.
        weights: What `weights` returned, or None for a new one.

    Attributes:
        accuracy: {"clean", "degraded": {attribute: share of test images read right}}; {} until it was measured.
    """

    def __init__(self, image_shape, values, weights=None):
        self.image_shape, self.values = tuple(image_shape), dict(values)
        self.accuracy = {}
        self._counts = [len(names) for names in self.values.values()]
        self._model = _network(self.image_shape, self._counts)
        if weights is not None:
            self._model.set_weights(weights)
        self._call = tf.function(lambda images: self._model(images, training=False), autograph=False)

    def weights(self):
        """Returns its weights, a list of arrays."""
        return self._model.get_weights()

    def _answers(self, images, words):
        """Returns (features [N, F], logits [N, V]) of images [N, H, W, C], float in [0, 1] or uint8."""
        parts = []
        with tqdm(total=len(images), desc=words, unit="image", disable=None, delay=1.0) as bar:
            for start in range(0, len(images), _AT_ONCE):
                part = images[start : start + _AT_ONCE]
                part = part / np.float32(255) if part.dtype == np.uint8 else np.asarray(part, np.float32)
                parts.append([answer.numpy() for answer in self._call(part)])
                bar.update(len(part))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def features(self, images):
        """Returns the penultimate layer [N, F] of images [N, H, W, C]."""
        return self._answers(images, "Reading features")[0]

    def probabilities(self, images):
        """Returns {attribute: [N, V] float32}: the probability of each value in images [N, H, W, C]."""
        logits = self._answers(images, "Reading attributes")[1]
        parts = np.split(logits, np.cumsum(self._counts)[:-1], axis=1)
        parts = [np.exp(part - part.max(axis=1, keepdims=True)) for part in parts]
        return {name: part / part.sum(axis=1, keepdims=True) for name, part in zip(self.values, parts, strict=True)}

    def read(self, images):
        """Returns {attribute: [N] int64}: the most probable values of images [N, H, W, C]."""
        return {name: part.argmax(axis=1) for name, part in self.probabilities(images).items()}

    def measure(self, images, attributes, visible):
        """Sets and returns `accuracy`, the share of values read right among the images in which they show.

        Args:
            images: Test images, uint8 [N, H, W, C].
            attributes: {attribute: [N] int64}.
            visible: {attribute: [N] bool}, or {}.
        """
        degraded = degradations.Degradations(images)
        kinds = {"clean": images, "degraded": degraded.apply_all(images, seed=1)}
        for kind, some in kinds.items():
            read = self.read(some)
            self.accuracy[kind] = {}
            for name in self.values:
                shows = visible.get(name, np.ones(len(images), bool))
                right = (read[name] == attributes[name])[shows]
                self.accuracy[kind][name] = float(right.mean()) if len(right) else math.nan
        return self.accuracy

    def fit(self, images, attributes, visible, number=None):
        """Trains the classifier.

        Args:
            images: (numbers) -> uint8 [n, H, W, C], training images by their numbers.
            attributes: {attribute: [N] int64} of all training images.
            visible: {attribute: [N] bool}, or {}.
            number: Images to see in all; None: enough.
        """
        count = len(next(iter(attributes.values())))
        labels = np.stack([attributes[name] for name in self.values], axis=1)
        shows = np.stack([visible.get(name, np.ones(count, bool)) for name in self.values], axis=1)
        random = np.random.default_rng(0)
        degraded = degradations.Degradations(images(random.permutation(count)[:2000]))
        steps = max(1, (number or _IMAGES) // _BATCH)
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RATE, steps))
        variables = self._model.trainable_variables
        optimizer.build(variables)

        @tf.function(jit_compile=True, autograph=False)
        def step(pixels, labels, shows, seed):
            pixels = degraded(tf.cast(pixels, tf.float32) / 255, seed)
            with tf.GradientTape() as tape:
                _, logits = self._model(pixels, training=True)
                parts = tf.split(logits, self._counts, axis=-1)
                losses = [
                    tf.nn.sparse_softmax_cross_entropy_with_logits(labels[:, column], part)
                    for column, part in enumerate(parts)
                ]
                loss = tf.reduce_sum(tf.stack(losses, axis=1) * shows) / tf.cast(tf.shape(pixels)[0], tf.float32)
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        order = np.concatenate([random.permutation(count) for _ in range(-(-steps * _BATCH // count))])
        with progress_bar(steps * _BATCH, "Training the attribute reader") as bar:
            for number in range(steps):
                rows = order[number * _BATCH : (number + 1) * _BATCH]
                loss = step(images(rows), labels[rows], shows[rows].astype(np.float32), tf.constant([0, number]))
                if number % 20 == 0:
                    bar.set_postfix(loss=f"{float(loss):.2f}", refresh=False)
                bar.update(_BATCH)
