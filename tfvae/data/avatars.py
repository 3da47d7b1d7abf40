"""The data set `avatars`: DiceBear avatars with their attributes, drawn on this machine, as a TFDS builder."""

import dataclasses
import hashlib
import itertools

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from tfvae import config
from tfvae.data import artwork, drawers, source, styles

COUNTS = (10_000, 1_000, 1_000)  # To train, to validate, to test.
_LEAST = 300  # Fewer different avatars than these are no data set.
_CANDIDATES = 4  # Attribute values are drawn at random this many times as often as avatars are wanted, at most.


@dataclasses.dataclass(kw_only=True)
class AvatarsConfig(tfds.core.BuilderConfig):
    """One style at one size.

    Attributes:
        style: The name of a DiceBear style.
        size: Height and width in pixels.
        counts: Avatars in the training, validation and test split.
    """

    style: str
    size: int
    counts: tuple = COUNTS


def make_config(style=styles.DEFAULT, size=60, counts=COUNTS):
    """Returns the builder's config; its name tells all that the avatars depend on, the artwork's version too."""
    name = f"{style}_{size}_{styles.artwork_version()}"
    if tuple(counts) != COUNTS:
        name += "_" + "_".join(str(count) for count in counts)
    return AvatarsConfig(name=name, style=style, size=size, counts=tuple(counts))


def _candidates(art, count):
    """Yields the numbers below `count` of avatars whose attributes no earlier one has."""
    seen = set()
    for number in range(count):
        indices = artwork.sample(art, number)
        if indices not in seen:
            seen.add(indices)
            yield number


def _different(style, size, wanted):
    """Returns up to `wanted` avatars, no two of which have the same picture."""
    candidates = _candidates(styles.load(style), _CANDIDATES * wanted)
    avatars, pictures = [], set()
    with tqdm(total=wanted, desc=f"Drawing {style} avatars", unit="", mininterval=0.5) as bar:
        while len(avatars) < wanted:
            # A few more than are missing: avatars that differ only in what does not show are one picture.
            numbers = list(itertools.islice(candidates, (wanted - len(avatars)) * 51 // 50 + 8))
            if not numbers:
                break
            for avatar in drawers.draw_all(style, size, numbers):
                digest = hashlib.sha256(avatar.png).digest()
                if digest not in pictures and len(avatars) < wanted:
                    pictures.add(digest)
                    avatars.append(avatar)
                    bar.update()
    return avatars


def _shares(found, counts):
    """Returns how many of `found` avatars go to each split: `counts`, or in their proportion where they are fewer."""
    if found == sum(counts):
        return counts
    held_out = [max(1, found * count // sum(counts)) for count in counts[1:]]
    return (found - sum(held_out), *held_out)


class Avatars(tfds.core.GeneratorBasedBuilder):
    """DiceBear avatars: 10,000 to train, 1,000 to validate, 1,000 to test; no picture occurs twice.

    A style that has fewer different avatars gives what it has. One value of one attribute is rare on purpose, see
    `styles.load`. `visible` says of each attribute whether a change of it would change a pixel.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = []

    def __init__(self, *, style=styles.DEFAULT, size=60, counts=COUNTS, **arguments):
        """As `tfds.core.GeneratorBasedBuilder`, of the `style`, `size` and `counts` of `AvatarsConfig`."""
        styles.load(style)
        super().__init__(config=make_config(style, size, counts), **arguments)

    def _info(self):
        chosen = self.builder_config
        art = styles.load(chosen.style)
        meta = art.style.meta()
        origin = f"{meta.source().name() or chosen.style} by {meta.creator().name() or 'unknown'}"
        licence = f"{meta.license().name()} ({meta.license().url()})"
        rare = f" The rare value is {art.rare[0]} = {art.rare[1]}." if art.rare else ""
        labels = {one.name: tfds.features.ClassLabel(names=one.values) for one in art.attributes}
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{Avatars.__doc__}\n\nArtwork: {origin}, {licence}. {meta.license().text() or ''}{rare}",
            citation=f"Artwork: {origin}, {licence}, drawn by DiceBear (https://www.dicebear.com).",
            homepage="https://www.dicebear.com",
            license=licence,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(chosen.size, chosen.size, 4), encoding_format="png"),
                    "attributes": tfds.features.FeaturesDict(labels),
                    "visible": tfds.features.FeaturesDict({name: np.bool_ for name in labels}),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        chosen = self.builder_config
        avatars = _different(chosen.style, chosen.size, sum(chosen.counts))
        if len(avatars) < min(_LEAST, sum(chosen.counts)):
            raise config.UserError(
                f"--data=avatars/{chosen.style}: expected a style of at least {_LEAST} different avatars, "
                f"got {len(avatars)}."
            )
        generators, start = {}, 0
        for split, count in zip(source.SPLITS, _shares(len(avatars), chosen.counts), strict=True):
            generators[split] = self._generate_examples(start, avatars[start : start + count])
            start += count
        return generators

    def _generate_examples(self, first, avatars):
        names = [attribute.name for attribute in styles.load(self.builder_config.style).attributes]
        for number, avatar in enumerate(avatars, start=first):
            yield (
                number,
                {
                    "image": avatar.png,
                    "attributes": dict(zip(names, avatar.indices, strict=True)),
                    "visible": dict(zip(names, avatar.visible, strict=True)),
                },
            )
