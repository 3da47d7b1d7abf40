"""Whether drawn codes can be told from those of images: by a classifier, as of Lopez-Paz and Oquab 2017."""

import warnings

import numpy as np

from tfvae.evaluation import bound
from tfvae.evaluation.progress import progress_bar

_MOST = 5_000  # Training images whose codes the classifier learns from, and as many drawn codes.
_OF_EACH = 4  # Codes of each held-out image.
_AT_ONCE = 64


def accuracy(real, drawn, held_real, held_drawn, seed=0):
    """Returns how often a small network that has seen `real` and `drawn` is right of held-out ones: 0.5 by chance.

    Args:
        real: Codes of images, [N, Z].
        drawn: Codes of a sampler, [M, Z].
        held_real: Codes of other images, [n, Z].
        held_drawn: [m, Z]; both kinds count the same, whatever n and m are.
        seed: Of the network.
    """
    from sklearn import exceptions, neural_network, pipeline, preprocessing

    network = neural_network.MLPClassifier((256, 256), early_stopping=True, n_iter_no_change=5, random_state=seed)
    classifier = pipeline.make_pipeline(preprocessing.StandardScaler(), network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        classifier.fit(np.concatenate([real, drawn]), np.repeat([1, 0], [len(real), len(drawn)]))
    right = (
        classifier.score(held_real, np.ones(len(held_real))),
        classifier.score(held_drawn, np.zeros(len(held_drawn))),
    )
    return float(np.mean(right))


def add(scene):
    """Adds how well codes drawn at std 1 are told from those of images; nothing without the training images."""
    if scene.own is None or not scene.served.has("from_base"):
        return
    random = np.random.default_rng([scene.settings.seed, 3])
    numbers = scene.own.spread("train", _MOST)
    parts = []
    with progress_bar(len(numbers), "Encoding training images") as bar:
        for start in range(0, len(numbers), _AT_ONCE):
            chunk = numbers[start : start + _AT_ONCE]
            parts.append(scene.served.encode(scene.own.images("train", chunk) / np.float32(255)))
            bar.update(len(chunk))
    known = type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))
    several = type(known)(*(np.tile(part, (_OF_EACH, 1)) for part in scene.test.posterior))
    real, held = (bound.sample(one, random.standard_normal(one.mean.shape, np.float32))[0] for one in (known, several))

    def draw(number):
        return scene.served.from_base(random.standard_normal((number, scene.served.latent_dim), np.float32))

    found = accuracy(real, draw(len(real)), held, draw(len(held)), scene.settings.seed)
    words = "share of held-out codes that a classifier tells right: drawn or of a test image; 0.5 is by chance"
    scene.results.into("codes drawn at std 1")("told_apart", found, 0.5, "", "lower", words)
