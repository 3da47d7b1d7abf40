"""Whether samples are copies: how far each is from its nearest training image, against the same for test images."""

import numpy as np

from tfvae.evaluation.progress import progress_bar

_AT_ONCE = 1024
_CANDIDATES = 3  # Training images whose distance is computed again without cancellation.


def nearest(images, read, count, progress=lambda number: None):
    """Finds the nearest training image of each image.

    Args:
        images: [N, H, W, C] float32 in [0, 1].
        read: (numbers) -> uint8 [n, H, W, C] training images.
        count: How many training images there are.
        progress: Called with the number of training images looked at since it was last called.

    Returns:
        (root mean squared difference [N], number of the training image [N]).
    """
    flat = np.asarray(images, np.float32).reshape(len(images), -1)
    distances = np.full([len(flat), _CANDIDATES], np.inf, np.float32)
    numbers = np.zeros([len(flat), _CANDIDATES], np.int64)
    for start in range(0, count, _AT_ONCE):
        stop = min(start + _AT_ONCE, count)
        some = read(np.arange(start, stop)).reshape(stop - start, -1) / np.float32(255)
        # Without the squares of `flat`, which are the same for all training images.
        found = np.square(some).sum(axis=1) - 2 * flat @ some.T
        found = np.concatenate([distances, found], axis=1)
        rows = np.concatenate([numbers, np.broadcast_to(np.arange(start, stop), (len(flat), stop - start))], axis=1)
        best = np.argpartition(found, _CANDIDATES - 1, axis=1)[:, :_CANDIDATES]
        distances, numbers = (np.take_along_axis(column, best, axis=1) for column in (found, rows))
        progress(stop - start)
    exact = np.stack([_differences(flat, read(column)) for column in numbers.T], axis=1)
    best = exact.argmin(axis=1)[:, None]
    return np.take_along_axis(exact, best, axis=1)[:, 0], np.take_along_axis(numbers, best, axis=1)[:, 0]


def _differences(flat, training):
    training = training.reshape(len(flat), -1) / np.float32(255)
    return np.sqrt(np.square(flat - training).mean(axis=1))


def add(scene, put, images):
    """Adds how near samples are to training images; leaves it out, with a note, where these are gone.

    Returns:
        (distance of each sample to its nearest training image [N], the number of that image [N]); (None, None) where
        there are no training images.
    """
    own = scene.own
    if own is None:
        scene.results.notes.append("Copies are left out: the export's own training images are not there.")
        return None, None
    # Its own test images, whatever is measured: beside images unlike all training images every sample would be a copy.
    test = own.images("test", own.spread("test", scene.settings.sizes[0])) / np.float32(255)
    sets = [images, test, scene.other.images]
    with progress_bar(own.num_training, "Looking for copies") as bar:
        distances, numbers = nearest(
            np.concatenate(sets), lambda rows: own.images("train", rows), own.num_training, bar.update
        )
    found, test, other = np.split(distances, np.cumsum([len(one) for one in sets])[:-1])
    ratios = [np.median(one) / np.median(test) for one in (found, other)]
    words = "distance to the nearest training image over that of test images, medians"
    put("nearest_training_image", *ratios, "", "1", words)
    near = np.quantile(test, 0.01)
    words = "share of samples nearer to a training image than 99 % of the test images are"
    put("copies", *((one < near).mean() for one in (found, other)), "", "lower", words)
    return found, numbers[: len(images)]
