"""What images are pictures of: the reader's answer, improved for avatars by drawing what was read."""

import numpy as np

from tfvae.data import styles
from tfvae.evaluation import shelf, synthesis
from tfvae.evaluation.progress import progress_bar


class Analyst:
    """Reads the attributes of images.

    Args:
        reader: A `reader.Reader`.
        style: The style of avatars, whose true renderer is at hand; None for other data.
        spec: The `preprocessing.ImageSpec` of the avatars, or None.

    Attributes:
        values: {attribute: tuple of str}.
        rare: (attribute, value) that is rare on purpose, or ().
    """

    def __init__(self, reader, style=None, spec=None):
        self.reader, self.style, self._spec = reader, style, spec
        self.values = reader.values
        self.rare = styles.load(style).rare if style else ()

    def read(self, images, words):
        """Returns the `synthesis.Analysis` of images [N, H, W, C], behind a progress bar that says `words`.

        For other data than avatars all attributes count as visible, and there are no redrawings: None.
        """
        probabilities = self.reader.probabilities(images)
        if self.style is None:
            read = {name: part.argmax(axis=1) for name, part in probabilities.items()}
            return synthesis.Analysis(read, {}, None)
        with progress_bar(len(images), words) as bar:
            return synthesis.analyse(images, probabilities, self.style, self._spec, bar.update)

    def draw(self, indices):
        """Returns the avatars of attribute indices [N, A], in the order of `values`: [N, H, W, C] in [0, 1]."""
        art = styles.load(self.style)
        drawn = [synthesis.render(art, self._spec, tuple(one))[1] for one in np.asarray(indices).tolist()]
        return np.stack(drawn) / np.float32(255)

    def accuracy(self, analysis, attributes, visible):
        """Returns the share of the visible attributes that an `Analysis` has read right."""
        right = [
            (analysis.attributes[name] == column)[np.asarray(visible.get(name, np.ones(len(column), bool)))]
            for name, column in attributes.items()
        ]
        return float(np.concatenate(right).mean())


def analyst_for(images, settings):
    """Returns the `Analyst` of a `data.Data` and its `config.DataConfig`; None where there are no attributes."""
    if not images.attributes["test"]:
        return None
    reader = shelf.reader_for(images, settings)
    style = styles.of(settings.data)
    return Analyst(reader, style, images.spec if style else None)
