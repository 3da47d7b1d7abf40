"""From cached images to batches: an endless, exactly resumable stream to train on, and finite ones to measure on.

Order of the stages, with its reasons: images are kept as uint8 (`cache`); an epoch is a permutation of image numbers,
so that the shuffle is full at any size and costs nothing; numbers are batched before pixels are touched, so that a
batch is one gather; pixels become float32 last, for uint8 moves four times as fast; all but the gather of the batch is
stateless, so that any step of the stream can be computed without those before it.
"""

import functools
import itertools
import warnings

import numpy as np
import tensorflow as tf

from tfvae import config
from tfvae.data import cache, preprocessing, report, sources, splits
from tfvae.data import source as origins

_MOST_PIXELS = 100 * 60 * 60  # In a batch of held-out images, unless --batch_size has more.


def _padded(numbers, batch_size):
    """Returns image numbers as ([steps, B] int64, [steps, B] float32): the last row filled up with weights of 0."""
    count = tf.size(numbers)
    filler = -count % batch_size
    # Image 0 fills up; any would do, for its weight is 0.
    numbers = tf.concat([numbers, tf.zeros([filler], tf.int64)], axis=0)
    weights = tf.concat([tf.ones([count]), tf.zeros([filler])], axis=0)
    return tf.reshape(numbers, [-1, batch_size]), tf.reshape(weights, [-1, batch_size])


def _gather_of(cached):
    """Returns indices [B] int64 in the source -> images [B, H, W, C] uint8, in the graph."""
    if cached.array is not None:
        with tf.device("CPU"):  # Never on an accelerator: batches are gathered by tf.data.
            held = tf.constant(cached.array)
        return lambda indices: tf.gather(held, indices)

    def gather(indices):
        batch = tf.numpy_function(cached.read, [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(batch, [*indices.shape, *cached.spec.shape])

    return gather


class Data:
    """The three splits, ready to train and to measure on.

    Batches are (images, images, weights), as Keras takes inputs, targets and sample weights: images float32
    [B, H, W, C] in [0, 1], weights float32 [B]. No image is lost and no batch is short: the last batch of an epoch is
    filled up with images of weight 0. B is --batch_size in training; held-out images come in batches of up to 100, or
    of --batch_size.

    Attributes:
        image_shape: (H, W, C).
        num_training, num_validation, num_test: Numbers of images.
        steps_per_epoch: Batches in one epoch of the training images.
        names: {split: list of file names, or None}.
        report: A `report.Report`: what was found, what was left out, and why.
        spec: The `preprocessing.ImageSpec` by which other files are prepared as these were.
    """

    def __init__(self, source, cached, rows, labels, found, settings):
        self.image_shape, self.report = cached.spec.shape, found
        # Files of 8 bits that come later are 0 to 255 for every viewer, whatever masks of 0 and 1 were trained on.
        self.spec = preprocessing.spec_of(settings, self.image_shape, cached.spec.deep_values)
        self.num_training, self.num_validation, self.num_test = (len(rows[split]) for split in origins.SPLITS)
        self.steps_per_epoch = -(-self.num_training // settings.batch_size)
        self.names = {
            split: None if source.names is None else [source.names[row] for row in rows[split]]
            for split in origins.SPLITS
        }
        self._cached, self._rows, self._labels, self._settings = cached, rows, labels, settings

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

    def images(self, split, numbers=None):
        """Returns images as they were kept.

        Args:
            split: "train", "validation" or "test".
            numbers: Which, in the order of `names` and `attributes`; None for all.

        Returns:
            [N, H, W, C] uint8 NumPy array.
        """
        rows = self._rows[split] if numbers is None else self._rows[split][np.asarray(numbers)]
        parts = [self._cached.read(rows[start : start + 1024]) for start in range(0, len(rows), 1024)]
        return np.concatenate(parts) if parts else np.empty([0, *self.image_shape], np.uint8)

    def digests(self, split):
        """Returns a number of each image's prepared pixels, [N] uint64: equal where these are."""
        return self._cached.facts.digests[np.searchsorted(self._cached.facts.rows, self._rows[split])]

    def spread(self, split, most):
        """Returns the numbers of at most `most` images evenly over a split: data may be sorted by what they show."""
        count = len(self._rows[split])
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

    @functools.cached_property
    def _gather(self):
        return _gather_of(self._cached)

    def _in_order(self, split):
        count, (height, width, _) = len(self._rows[split]), self.image_shape
        # What nothing is learned from can come in larger batches, which take a third of the time.
        batch_size = max(self._settings.batch_size, min(count, 100, _MOST_PIXELS // (height * width)))
        rows = _padded(tf.range(count, dtype=tf.int64), batch_size)
        batches = tf.data.Dataset.zip(tf.data.Dataset.counter(), tf.data.Dataset.from_tensor_slices(rows))
        return self._gathered(split, batches.map(lambda at, row: (at, *row)), False)

    def _gathered(self, split, batches, flip):
        """Returns batches of pixels for a dataset of (step, numbers [B], weights [B])."""
        seed, rows, gather = self._settings.seed, tf.constant(self._rows[split], tf.int64), self._gather
        shape = [*batches.element_spec[1].shape, *self.image_shape]

        def pixels(step, numbers, weights):
            batch = tf.cast(gather(tf.gather(rows, numbers)), tf.float32) / 255
            if flip:
                # Another stream than that of the permutations, whose seeds are (seed, epoch).
                key = tf.stack([tf.constant(-1 - seed, tf.int64), step])
                chosen = tf.random.stateless_uniform(shape[:1], seed=key, alg="philox") < 0.5
                batch = tf.where(chosen[:, tf.newaxis, tf.newaxis, tf.newaxis], batch[:, :, ::-1], batch)
            batch = tf.ensure_shape(batch, shape)
            return batch, batch, tf.ensure_shape(weights, shape[:1])

        return batches.map(pixels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _opened(settings, deep_values=None):
    """Returns the (`source.Source`, `cache.Cache`) of `settings`."""
    source = sources.find(settings, deep_values)
    shape = (*settings.height_and_width, settings.channels or source.channels)
    spec = preprocessing.spec_of(settings, shape, source.deep_values or deep_values)
    return source, cache.fill(source, spec, settings)


def _left_out(source, cached, settings):
    """Warns of images that cannot be decoded, or raises with --strict; returns lines on what else is left out."""
    damaged, lines = report.problems_of(source, cached.facts)
    if damaged:
        tried = len(damaged) + len(cached.facts.rows)
        message = (
            f"{len(damaged):,} of {tried:,} images cannot be decoded (or exceed --max_pixels): {origins.named(damaged)}"
        )
        if settings.strict:
            raise config.UserError(f"--data={settings.data}: {message}.")
        warnings.warn(f"{message}; they are left out.", stacklevel=3)
    if not len(cached.facts.rows):
        why = f": {'; '.join([*source.left_out, *lines])}" if source.left_out or lines else ""
        none = "none that can be decoded" if damaged else "none"
        raise config.UserError(f"--data={settings.data}: expected images, got {none}{why}.")
    return lines


def _splits(source, cached, settings):
    """Returns ({split: indices in the source}, copies left out of training): official splits, the rest dealt."""
    rows, digests = cached.facts.rows, np.zeros(source.count, np.uint64)
    digests[rows] = cached.facts.digests
    official = {split: np.intersect1d(indices, rows) for split, indices in source.official.items()} or {"train": rows}
    official = {split: indices for split, indices in official.items() if len(indices) or split == "train"}
    official, copies = splits.without_copies(official, digests)
    missing = [split for split in ("validation", "test") if split not in official]
    pool = official["train"]
    if missing:
        names = [source.names[row] for row in pool] if source.names else pool
        dealt = splits.deal(names, digests[pool], missing, settings.holdout)
        official = official | {split: pool[indices] for split, indices in dealt.items()}
    return {split: official[split] for split in origins.SPLITS}, copies


def _data(source, cached, rows, settings, lines, copies=0):
    labels = source.labels(np.concatenate(list(rows.values())))
    ends = np.cumsum([0, *map(len, rows.values())])
    of_split = {
        split: labels.take(slice(start, stop))
        for split, (start, stop) in zip(rows, itertools.pairwise(ends), strict=True)
    }
    found = report.make(settings, source, cached, rows, labels, lines, copies)
    return Data(source, cached, rows, of_split, found, settings)


def load(settings):
    """Returns the `Data` that `settings`, a `config.DataConfig`, describes; see `tfvae.data.load`."""
    source, cached = _opened(settings)
    lines = _left_out(source, cached, settings)
    rows, copies = _splits(source, cached, settings)
    if len(rows["train"]) < settings.batch_size:
        raise config.UserError(
            f"--data={settings.data}: expected at least one batch of {settings.batch_size} training images, got "
            f"{len(rows['train'])}; see --batch_size."
        )
    for split in ("validation", "test"):
        if not len(rows[split]):
            raise config.UserError(f"--data={settings.data}: expected images for the {split} split, got none.")
    return _data(source, cached, rows, settings, lines, copies)


def load_test_set(settings, deep_values=None, trained_on=None):
    """Returns a `Data` whose test split is all of the data; the other splits are empty.

    Args:
        settings: A `config.DataConfig`.
        deep_values: The `value_range.ValueRange` of files of more than 8 bits, as a model was trained; None: looked at.
        trained_on: [n] uint64, `Data.digests` of images that are left out, and named in the report; or None.

    Raises:
        UserError: If no image is left.
    """
    source, cached = _opened(settings, deep_values)
    lines = _left_out(source, cached, settings)
    facts = cached.facts
    known = np.isin(facts.digests, trained_on) if trained_on is not None else np.zeros(len(facts.rows), bool)
    if known.any():
        names = [source.names[row] if source.names else f"image {row}" for row in facts.rows[known]]
        lines.append(f"{report.counted(len(names), 'image')} that the model was trained on: {origins.named(names)}")
    if known.all():
        raise config.UserError(f"--data={settings.data}: expected images that the model was not trained on, got none.")
    none = np.empty(0, np.int64)
    return _data(source, cached, {"train": none, "validation": none, "test": facts.rows[~known]}, settings, lines)
