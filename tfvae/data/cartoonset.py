"""The data sets `cartoonset10k` and `cartoonset100k`: Google's Cartoon Set, as a TFDS builder.

Source: https://google.github.io/cartoonset/ (Google LLC, CC BY 4.0).
"""

import hashlib
import os
import pathlib
import re
import tarfile
import urllib.request
import zlib

import tensorflow_datasets as tfds

from tfvae import config

_URL = "https://storage.googleapis.com/cartoonset_public_files/{name}.tgz"
_PAGE = "https://google.github.io/cartoonset/download.html"
# Attribute -> number of its variants, as each csv file repeats them: artwork, colours, proportions.
ATTRIBUTES = {
    "chin_length": 3,
    "eye_angle": 3,
    "eye_lashes": 2,
    "eye_lid": 2,
    "eyebrow_shape": 14,
    "eyebrow_weight": 2,
    "face_shape": 7,
    "facial_hair": 15,
    "glasses": 12,
    "hair": 111,
    "eye_color": 5,
    "face_color": 11,
    "glasses_color": 7,
    "hair_color": 10,
    "eye_eyebrow_distance": 3,
    "eye_slant": 3,
    "eyebrow_thickness": 4,
    "eyebrow_width": 3,
}
_HELD_OUT = 0.1  # Share of validation, and again of the test.


def _from_folder(folder):
    """Yields (file name, content) of the regular files below `folder`, in a fixed order; links are not followed."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = os.path.join(root, file)
            if not os.path.islink(path) and file.startswith("cs"):
                yield file, pathlib.Path(path).read_bytes()


def _from_archive(path):
    """Yields (file name, content) of the regular members of a tar archive.

    Nothing is extracted, so that no member can write anywhere, whatever its name or link says.
    """
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            file = member.name.rpartition("/")[2]
            if member.isreg() and file.startswith("cs"):
                yield file, archive.extractfile(member).read()


def _pairs(path):
    """Yields (name, png content, csv content) of each image of an archive or an unpacked folder."""
    waiting = {}
    try:
        for file, content in _from_folder(path) if path.is_dir() else _from_archive(path):
            name, _, kind = file.rpartition(".")
            if kind not in ("png", "csv"):
                continue
            pair = waiting.setdefault(name, {})
            pair[kind] = content
            if len(pair) == 2:
                yield name, pair["png"], pair["csv"]
                waiting[name] = {}  # Kept by name, so that what comes again is told from what is missing.
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        raise config.UserError(f"{path}: expected a Cartoon Set archive or folder, got {error}.") from None
    alone = [f"{name}.{kind}" for name, pair in waiting.items() for kind in pair]
    if alone:
        raise config.UserError(f"{path}: expected csNUMBER.png and csNUMBER.csv in pairs, got {alone[0]} alone.")
    if not waiting:
        raise config.UserError(f"{path}: expected csNUMBER.png and csNUMBER.csv files, got none.")


def read_attributes(text, where):
    """Returns {attribute: index} of a csv file: lines of `"attribute", index, number of variants`.

    Args:
        text: The content of the file.
        where: Its name, for the error.

    Raises:
        UserError: If it does not hold the 18 attributes of the Cartoon Set with their numbers of variants.
    """
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = re.fullmatch(r'"?(\w+)"?\s*,\s*(\d+)\s*,\s*(\d+)', line)
        name, index, count = match.groups() if match else (None, -1, -1)
        if ATTRIBUTES.get(name) != int(count) or int(index) >= int(count):
            raise config.UserError(
                f'{where}: expected a line such as "hair", 29, 111 of a known attribute, got {line!r}.'
            )
        found[name] = int(index)
    missing = ", ".join(ATTRIBUTES.keys() - found.keys())
    if missing:
        raise config.UserError(f"{where}: expected {len(ATTRIBUTES)} attributes, got none for {missing}.")
    return found


def split_of(name):
    """Returns the split of the image `name`, such as "cs11502169095236683120": 80 % train, 10 % each of the others."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "validation" if share < _HELD_OUT else "test" if share < 2 * _HELD_OUT else "train"


class Cartoonset(tfds.core.GeneratorBasedBuilder):
    """Random cartoon faces of 18 attributes, 500 x 500 pixels, behind them a transparent background."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="cartoonset10k", description="10,000 images."),
        tfds.core.BuilderConfig(name="cartoonset100k", description="100,000 images."),
    ]

    def __init__(self, *, archive="", **arguments):
        """As `tfds.core.GeneratorBasedBuilder`.

        Args:
            archive: The archive, or its unpacked folder; empty to download it.
            **arguments: Of `tfds.core.GeneratorBasedBuilder`.
        """
        self._archive = archive
        super().__init__(**arguments)

    def _info(self):
        labels = {name: tfds.features.ClassLabel(num_classes=count) for name, count in ATTRIBUTES.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=Cartoonset.__doc__,
            homepage="https://google.github.io/cartoonset/",
            citation="Cartoon Set, Google LLC, https://google.github.io/cartoonset/",
            license="CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 4), encoding_format="png"),
                    "attributes": tfds.features.FeaturesDict(labels),
                    "name": tfds.features.Text(),
                }
            ),
        )

    def _path(self, dl_manager):
        """Returns the path of the archive or folder, downloaded (and its checksum recorded by TFDS) if need be."""
        name = self.builder_config.name
        if self._archive:
            path = config.path_of(self._archive)
            if not path.exists():
                raise config.UserError(f"--archive must be {name}.tgz or its unpacked folder, got {str(path)!r}.")
            return path
        url = _URL.format(name=name)
        try:
            # Asked first, for TFDS tries for minutes where there is no network.
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20):
                pass
            return pathlib.Path(dl_manager.download(url))
        except Exception as error:  # TFDS passes on what its HTTP library raises, of many kinds.
            raise config.UserError(
                f"--data={name}: {url} could not be downloaded ({type(error).__name__}); get {name}.tgz from {_PAGE} "
                "and name it with --archive=FILE."
            ) from error

    def _split_generators(self, dl_manager):
        path = self._path(dl_manager)
        return {split: self._generate_examples(path, split) for split in ("train", "validation", "test")}

    def _generate_examples(self, path, split):
        for name, image, attributes in _pairs(path):
            if split_of(name) == split:
                found = read_attributes(attributes.decode("utf-8", "replace"), f"{path}: {name}.csv")
                yield name, {"image": image, "attributes": found, "name": name}
