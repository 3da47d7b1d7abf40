"""The settings of the commands that work from an export, and of the client of a server."""

import dataclasses
import re

from tfvae.config.paths import check_name
from tfvae.config.walks import PathConfig
from tfvae.settings import Settings, UserError, option


@dataclasses.dataclass(frozen=True)
class ServedConfig(Settings):
    """What every command has that works from an export."""

    model: str = option(
        "", "saved_models/NAME (its newest version), or one version's folder; empty: the newest export."
    )
    export_dir: str = option("saved_models", "Where the newest export is looked for.")
    output: str = option("", "File or folder to write; empty: named after the command.")
    overwrite: bool = option(False, "Replace --output where it exists.")


@dataclasses.dataclass(frozen=True)
class GenerateConfig(ServedConfig):
    """`python -m tfvae.generate`: new images."""

    num_images: int = option(64, "How many images.", at_least=1, at_most=10_000_000)
    std: float = option(0.8, "Standard deviation of the Gaussian noise that is drawn.", at_least=0.0, at_most=10.0)
    seed: int = option(
        0, "Seed of the noise: image number i of a seed is always the same.", at_least=0, at_most=2**31 - 1
    )


@dataclasses.dataclass(frozen=True)
class ReconstructConfig(ServedConfig):
    """`python -m tfvae.reconstruct FILE_OR_FOLDER...`: originals above their reconstructions."""


@dataclasses.dataclass(frozen=True)
class InterpolateConfig(PathConfig, ServedConfig):
    """`python -m tfvae.interpolate A B ...`: the walk from each image to the next."""

    steps: int = option(11, "Images in each walk, both ends included.", at_least=2, at_most=1000)
    animation: str = option("gif", "Format of the animation beside the strip.", choices=("gif", "webp", "none"))


@dataclasses.dataclass(frozen=True)
class EvaluateConfig(PathConfig, ServedConfig):
    """`python -m tfvae.evaluate`: every measure that the data allows."""

    output: str = option("", "Folder to write; empty: evaluation/NAME-VERSION.")
    data: str = option(
        "",
        "Images to measure on, as in training: all of them, but those that were trained on; empty: "
        "the test split of what the export was trained with.",
    )
    data_dir: str = option("", "Folder for prepared data; empty: $TFDS_DATA_DIR, else ~/tensorflow_datasets.")
    runs_dir: str = option("runs", "Folder of the training runs: the report shows the learning curve of NAME.")
    std: float = option(0.8, "Standard deviation of the Gaussian noise that is drawn.", at_least=0.0, at_most=10.0)
    num_images: int = option(1000, "Samples, and held-out images of each split, at most.", at_least=20,
                             at_most=1_000_000)  # fmt: skip
    num_walks: int = option(50, "Walks between test images.", at_least=1, at_most=100_000)
    steps: int = option(11, "Images in the walk, both ends included.", at_least=3, at_most=1000)
    importance_images: int = option(48, "Test images whose log p(x) is estimated by many codes; 0: none.", at_least=0)
    importance_samples: int = option(500, "Codes of each of them, K.", at_least=1, at_most=1_000_000)
    seed: int = option(0, "Seed of the noise.", at_least=0, at_most=2**31 - 1)
    quick: bool = option(False, "A quick look: 150 images, 12 walks, 8 images with 50 codes, at most.")
    reader_only: bool = option(False, "Only train the classifier that reads attributes, unless it is there already.")

    @property
    def sizes(self):
        """(images, walks, importance images, importance samples), less with --quick."""
        sizes = self.num_images, self.num_walks, self.importance_images, self.importance_samples
        return tuple(map(min, sizes, (150, 12, 8, 50))) if self.quick else sizes


@dataclasses.dataclass(frozen=True)
class ClientConfig(Settings):
    """`python -m tfvae.client`: a model that a server holds, called over the network."""

    server: str = option("http://localhost:8501", "http://HOST:PORT (or https) for REST, grpc://HOST:PORT for gRPC.")
    name: str = option("avatars", "Name that the server has given the model.")
    version: int = option(0, "Version of the model; 0: the newest that is served.", at_least=0)
    timeout: float = option(60.0, "Longest wait for the next part of an answer, seconds.", above=0.0, at_most=86_400.0)
    num_images: int = option(16, "How many images `generate` asks for.", at_least=1, at_most=10_000)
    std: float = option(0.8, "Standard deviation of the Gaussian noise that is drawn.", at_least=0.0, at_most=10.0)
    seed: int = option(0, "Seed of the noise.", at_least=0, at_most=2**31 - 1)
    steps: int = option(11, "Images in a walk, both ends included.", at_least=2, at_most=1000)
    output: str = option("", "File or folder to write; empty: named after the action.")
    overwrite: bool = option(False, "Replace --output where it exists.")

    def __post_init__(self):
        super().__post_init__()
        check_name(self.name)
        if not re.fullmatch(r"(https?|grpc)://[^\s/@]+(/[^\s?#]*)?", self.server):
            raise UserError(f"--server must be http://HOST:PORT, https://... or grpc://..., got {self.server!r}.")
        if not self.name:
            raise UserError("--name must be the model's name on the server, got ''.")
