"""From kept images to batches: an endless, exactly resumable stream to train on, and finite ones to measure on.

Order of the stages, with its reasons: images are kept as uint8 (`store`); an epoch is a permutation of image numbers,
so that the shuffle is full at any size and costs nothing; numbers are batched before pixels are touched, so that a
batch is one gather; pixels become float32 last, for uint8 moves four times as fast; all but the gather of the batch is
stateless, so that any step of the stream can be computed without those before it.
"""

import functools

import numpy as np
import tensorflow as tf

from tfvae import config
from tfvae.data import source, sources
from tfvae.data import store as stores

_MOST_PIXELS = 100 * 60 * 60  # In a batch of held-out images, unless --batch_size has more.


def _padded(numbers, batch_size):
    """Returns image numbers as ([steps, B] int64, [steps, B] float32): the last row filled up with weights of 0."""
    count = tf.size(numbers)
    filler = -count % batch_size
    # Image 0 fills up; any would do, for its weight is 0.
    numbers = tf.concat([numbers, tf.zeros([filler], tf.int64)], axis=0)
    weights = tf.concat([tf.ones([count]), tf.zeros([filler])], axis=0)
    return tf.reshape(numbers, [-1, batch_size]), tf.reshape(weights, [-1, batch_size])


class Data:
    """The three splits, ready to train and to measure on.

    Batches are (images float32 [B, H, W, C] in [0, 1], weights float32 [B]). No image is lost and no batch is short:
    the last batch of an epoch is filled up with images of weight 0. B is --batch_size in training; held-out images come
    in batches of up to 100, or of --batch_size.

    Attributes:
        image_shape: (H, W, C).
        num_training, num_validation, num_test: Numbers of images.
        steps_per_epoch: Batches in one epoch of the training images.
        names: {split: list of file names, or None}.
    """

    def __init__(self, origins, kept, shape, settings):
        self.image_shape = tuple(shape[:3])
        self.num_training, self.num_validation, self.num_test = (kept[split].count for split in source.SPLITS)
        self.steps_per_epoch = -(-self.num_training // settings.batch_size)
        self.names = {
            split: None if origin.names is None else [origin.names[row] for row in kept[split].rows]
            for split, origin in origins.items()
        }
        self._origins, self._kept, self._settings = origins, kept, settings

    @property
    def training(self):
        """Endless batches of the training images, from step 0 on: each epoch in another order, given by the seed."""
        return self.training_from(0)

    @property
    def validation(self):
        """The validation images in their order, once."""
        return self._in_order("validation")

    @property
    def test(self):
        """The test images in their order, once."""
        return self._in_order("test")

    @property
    def attributes(self):
        """{split: {attribute: [N] int64}}: an index into `attribute_values`; {} for data that has none."""
        return {split: labels.attributes for split, labels in self._labels.items()}

    @property
    def visible(self):
        """{split: {attribute: [N] bool}}: whether the attribute shows in the image; {} where nothing is known."""
        return {split: labels.visible for split, labels in self._labels.items()}

    @property
    def attribute_values(self):
        """{attribute: tuple of str}: what each index stands for."""
        return self._labels["train"].values

    @functools.cached_property
    def _labels(self):
        found = {}
        for split, origin in self._origins.items():
            labels, rows = origin.labels(), self._kept[split].rows
            attributes = {name: column[rows] for name, column in labels.attributes.items()}
            visible = {name: column[rows] for name, column in labels.visible.items()}
            found[split] = source.Labels(attributes, visible, labels.values)
        return found

    def images(self, split, numbers=None):
        """Returns images as they were kept.

        Args:
            split: "train", "validation" or "test".
            numbers: Which, in the order of `names` and `attributes`; None for all.

        Returns:
            [N, H, W, C] uint8 NumPy array.
        """
        numbers = np.arange(self._kept[split].count) if numbers is None else np.asarray(numbers)
        chunks = [numbers[start : start + 1024] for start in range(0, len(numbers), 1024)]
        parts = [self._kept[split].gather(tf.constant(chunk, tf.int64)).numpy() for chunk in chunks]
        return np.concatenate(parts) if parts else np.empty([0, *self.image_shape], np.uint8)

    def spread(self, split, most):
        """Returns the numbers of at most `most` images evenly over a split: data may be sorted by what they show."""
        count = self._kept[split].count
        return np.linspace(0, count - 1, min(count, most)).astype(int)

    def training_from(self, step):
        """Returns `training` without its first `step` batches, which are not computed."""
        count, steps, seed = self.num_training, self.steps_per_epoch, self._settings.seed
        first_epoch, first_row = divmod(step, steps)

        def epoch_rows(epoch):
            order = tf.random.experimental.stateless_shuffle(
                tf.range(count, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch]), alg="philox"
            )
            rows = tf.data.Dataset.from_tensor_slices(_padded(order, self._settings.batch_size))
            start = tf.where(epoch == first_epoch, tf.constant(first_row, tf.int64), 0)
            at = tf.data.Dataset.range(epoch * steps, (epoch + 1) * steps)
            return tf.data.Dataset.zip(at, rows).skip(start)

        batches = tf.data.Dataset.counter(first_epoch).flat_map(epoch_rows)
        return self._gathered("train", batches.map(lambda at, row: (at, *row)), self._settings.augment == "flip")

    def _in_order(self, split):
        count, (height, width, _) = self._kept[split].count, self.image_shape
        # What nothing is learned from can come in larger batches, which take a third of the time.
        batch_size = max(self._settings.batch_size, min(count, 100, _MOST_PIXELS // (height * width)))
        rows = _padded(tf.range(count, dtype=tf.int64), batch_size)
        batches = tf.data.Dataset.zip(tf.data.Dataset.counter(), tf.data.Dataset.from_tensor_slices(rows))
        return self._gathered(split, batches.map(lambda at, row: (at, *row)), False)

    def _gathered(self, split, batches, flip):
        """Returns batches of pixels for a dataset of (step, numbers [B], weights [B])."""
        gather, seed = self._kept[split].gather, self._settings.seed
        shape = [*batches.element_spec[1].shape, *self.image_shape]

        def pixels(step, numbers, weights):
            batch = tf.cast(gather(numbers), tf.float32) / 255
            if flip:
                # Another stream than that of the permutations, whose seeds are (seed, epoch).
                key = tf.stack([tf.constant(-1 - seed, tf.int64), step])
                chosen = tf.random.stateless_uniform(shape[:1], seed=key, alg="philox") < 0.5
                batch = tf.where(chosen[:, tf.newaxis, tf.newaxis, tf.newaxis], batch[:, :, ::-1], batch)
            return tf.ensure_shape(batch, shape), tf.ensure_shape(weights, shape[:1])

        return batches.map(pixels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def load(settings):
    """Returns the `Data` that `settings`, a `config.DataConfig`, describes; see `tfvae.data.load`."""
    origins = sources.find(settings)
    channels = settings.channels or max(origin.channels for origin in origins.values())
    shape = stores.Shape(
        *settings.height_and_width, channels, settings.fit, settings.background_rgb, settings.max_pixels
    )
    kept = stores.keep(origins, shape, settings)
    stores.report_missing(origins, kept, settings)
    held, batch_size = kept["train"].count, settings.batch_size
    if held < batch_size:
        found = "none that can be decoded" if origins["train"].count and not held else f"{held}"
        raise config.UserError(
            f"--data={settings.data}: expected at least one batch of {batch_size} training images, got {found}."
        )
    for split in ("validation", "test"):
        if not kept[split].count:
            raise config.UserError(f"--data={settings.data}: expected images for the {split} split, got none.")
    return Data(origins, kept, shape, settings)
