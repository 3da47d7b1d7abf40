"""The settings of `train` and `export`: data, model, and how the one is fitted to the other."""

import dataclasses
import re
import types

from tfvae.config.paths import check_name, path_of
from tfvae.config.walks import PATHS, SPACES, PathConfig
from tfvae.settings import Settings, UserError, option


@dataclasses.dataclass(frozen=True)
class DataConfig(Settings):
    """Where images come from and how they become batches."""

    data: str = option(
        "avatars",
        "Images: avatars[/STYLE], cartoonset10k, cartoonset100k, tfds:NAME[/CONFIG], a folder, or a .npz or .npy file.",
    )
    image_size: int = option(60, "Height of the images in pixels; the width too, unless --image_width is given.",
                             at_least=8, at_most=512)  # fmt: skip
    image_width: int = option(0, "Width in pixels; 0: as --image_size.", at_least=0, at_most=512)
    channels: int = option(
        0,
        "1 for grey, 3 for RGB, 4 for RGB with transparency; 0: what an array or a TFDS image has (of transparency no "
        "more than its colours on --background), and 3 for folders.",
        choices=(0, 1, 3, 4),
    )
    fit: str = option("crop", "How other aspect ratios are met.", choices=("crop", "pad", "stretch"))
    resize_filter: str = option(
        "bilinear",
        "How images are resized, always antialiased but by nearest, which keeps the edges of pixel art.",
        choices=("bilinear", "nearest", "bicubic", "lanczos"),
    )
    black: str = option(
        "auto",
        "Value that becomes black; auto: 0 for files of 8 bits, looked at in arrays and in files of more bits.",
    )
    white: str = option(
        "auto",
        "Value that becomes white; auto: 255 for files of 8 bits, looked at in arrays and in files of more bits.",
    )
    background: str = option("white", "Colour behind transparent pixels and padding: a name or #rrggbb.")
    batch_size: int = option(5, "Images in a batch.", at_least=1, at_most=65536)
    holdout: float = option(0.1, "Share of a folder's or file's images kept for validation, and again for the test.",
                            above=0.0, at_most=0.4)  # fmt: skip
    cache: str = option(
        "auto",
        "Where decoded images stay between epochs; auto: memory up to 2 GB, else disk.",
        choices=("auto", "memory", "disk", "none"),
    )
    augment: str = option("none", "Random changes to training images; flip: left to right.", choices=("none", "flip"))
    max_pixels: int = option(
        50_000_000, "Largest image that is decoded, in pixels; a large JPEG is decoded at a fraction of its size, and "
        "that counts. Larger ones are refused by their header.",
        at_least=1, at_most=2**31 - 1)  # fmt: skip
    strict: bool = option(False, "Stop at an image that cannot be decoded rather than skip it with a warning.")
    archive: str = option("", "A Cartoon Set archive (.tgz) or its unpacked folder, where you already have one.")
    data_dir: str = option("", "Folder for prepared data; empty: $TFDS_DATA_DIR, else ~/tensorflow_datasets.")
    seed: int = option(0, "Seed of weights, order and noise: the same seed gives the same run on one machine.",
                       at_least=0, at_most=2**31 - 1)  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if not self.data.strip():
            raise UserError(f"--data must name images, got {self.data!r}.")
        if 0 < self.image_width < 8:
            raise UserError(f"--image_width must be 0 or at least 8, got {self.image_width}.")
        for name in ("black", "white"):
            value = getattr(self, name)
            is_number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value)
            if value != "auto" and not (is_number and abs(float(value)) < float("inf")):
                raise UserError(f"--{name} must be auto or a number, got {value!r}.")
        if "auto" not in (self.black, self.white) and not float(self.black) < float(self.white):
            raise UserError(f"--white must be above --black, got --black={self.black} --white={self.white}.")
        from PIL import ImageColor

        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise UserError(f"--background must be a colour's name or #rrggbb, got {self.background!r}.") from None

    @property
    def height_and_width(self):
        """(H, W) in pixels."""
        return self.image_size, self.image_width or self.image_size

    @property
    def background_rgb(self):
        """(red, green, blue), each 0 to 255."""
        from PIL import ImageColor

        return ImageColor.getrgb(self.background)[:3]


@dataclasses.dataclass(frozen=True)
class InspectConfig(DataConfig):
    """`python -m tfvae.inspect`: what a model would see of the data."""

    output: str = option("inspect.png", "Picture to write: images of each split as the model sees them.")
    overwrite: bool = option(False, "Replace --output where it exists.")


# What has no effect without another setting: that one, and those of its values that it has an effect with.
_NEEDS = {
    "beta": ("objective", "beta"),
    "beta_schedule": ("objective", "beta"),
    "beta_epochs": ("objective", "beta"),
    "beta_scaled": ("objective", "beta"),
    "free_bits": ("objective", "free_bits"),
    "sigma": ("likelihood", "gaussian_fixed"),
    "sigmas": ("likelihood", "gaussian", "gaussian_optimal"),
    "logistics": ("likelihood", "logistic_mixture"),
    "components": ("prior", "mixture"),  # Or --sampler=mixture.
}
SAMPLERS = ("matching", "mixture", "prior")
# Of version 0.1, which drew several codes for an image, and encoded and decoded them again.
_RETIRED = ("candidates", "refine")
_RENAMED = types.MappingProxyType({("sampler", "aggregate"): "mixture"})


@dataclasses.dataclass(frozen=True)
class ModelConfig(Settings):
    """The parts of the model and their sizes."""

    RETIRED, RENAMED = _RETIRED, _RENAMED

    network: str = option("residual", "Encoder and decoder.", choices=("residual", "convolutional"))
    width: int = option(
        64, "Channels of the network's widest images; costs time by its square.", at_least=4, at_most=1024
    )
    latent_dim: int = option(64, "Number of latents, Z.", at_least=1, at_most=4096)
    likelihood: str = option(
        "gaussian",
        "p(x|z): gaussian (one learned sigma), gaussian_optimal (sigma in closed form), gaussian_fixed (--sigma), "
        "bernoulli, logistic (discretised to 256 levels), or logistic_mixture (of --logistics of these a pixel).",
        choices=("gaussian", "gaussian_optimal", "gaussian_fixed", "bernoulli", "logistic", "logistic_mixture"),
    )
    sigma: float = option(0.5**0.5, "Standard deviation of gaussian_fixed; 0.7071 makes -log p the squared error.",
                          at_least=0.001, at_most=100.0)  # fmt: skip
    sigmas: str = option("one", "Sigmas of gaussian and gaussian_optimal: one, or one for each of the channels.",
                         choices=("one", "channels"))  # fmt: skip
    logistics: int = option(5, "Colours that logistic_mixture mixes in a pixel.", at_least=1, at_most=100)
    prior: str = option(
        "flow",
        "p(z): flow, or mixture (--components Gaussians), both learned with the model, or normal (N(0, I)).",
        choices=("flow", "mixture", "normal"),
    )
    sampler: str = option(
        "matching",
        "What an export draws codes from: matching, a continuous flow that is fitted to the codes of the training "
        "images after training (of fewer than 1,000 images, whichever of all three fits the validation images best); "
        "mixture, of --components Gaussians, fitted likewise; or prior, the one that was trained.",
        choices=SAMPLERS,
    )
    components: int = option(10, "Gaussians of --prior=mixture and of --sampler=mixture.", at_least=1, at_most=1000)
    objective: str = option("elbo", "What is maximised.", choices=("elbo", "beta", "free_bits"))
    beta: float = option(1.0, "Weight of the rate under --objective=beta; 1 is the ELBO (but see --beta_scaled).",
                         at_least=0.0, at_most=1e9)  # fmt: skip
    beta_schedule: str = option(
        "constant",
        "How --beta is reached under --objective=beta: linear rises over --beta_epochs, cyclical again and again.",
        choices=("constant", "linear", "cyclical"),
    )
    beta_epochs: float = option(10.0, "Epochs of a linear rise, or of one cycle.", above=0.0, at_most=1e6)
    beta_scaled: bool = option(
        False,
        "Scale --beta, under --objective=beta, with the images' numbers: times H W C / 10,800, 1 for 60 x 60 RGB.",
    )
    free_bits: float = option(
        0.05, "Nats a latent that cost nothing under --objective=free_bits.", at_least=0.0, at_most=1e6
    )

    def __post_init__(self):
        super().__post_init__()
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name, (other, *values) in _NEEDS.items():
            got = getattr(self, other)
            fitted = name == "components" and self.sampler == "mixture"
            if getattr(self, name) != defaults[name] and got not in values and not fitted:
                raise UserError(f"--{name} needs --{other}={' or '.join(values)}, got --{other}={got}.")


def default_name(data):
    """Returns the run's name where none is given: that of its data, in letters that any file system takes."""
    base = data.removeprefix("tfds:")
    if not data.startswith(("avatars", "tfds:")):
        path = path_of(data)
        base = path.stem if path.suffix in (".npz", ".npy") else path.resolve().name
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", base).strip("-.")[:100] or "data"


@dataclasses.dataclass(frozen=True)
class TrainConfig(PathConfig, DataConfig, ModelConfig):
    """`python -m tfvae.train`: data, model, how the one is fitted to the other, and how the export walks."""

    epochs: int = option(50, "Passes over the training images.", at_least=1, at_most=1_000_000)
    lr: float = option(1e-4, "Learning rate at the first step.", above=0.0, at_most=10.0)
    lr_end: float = option(3.03e-6, "Learning rate at the last step, reached exponentially.", above=0.0, at_most=10.0)
    ema: float = option(0.999, "Momentum of the averaged weights that validation and export use; 0: none.",
                        at_least=0.0, at_most=0.99999)  # fmt: skip
    jit: bool = option(True, "Compile the training step with XLA; not under a strategy.")
    steps_per_execution: int = option(8, "Steps that run between two looks at the loss and at Ctrl-C, at most: "
                                      "so many that an epoch is a whole number of them; under a strategy 1.",
                                      at_least=1, at_most=32)  # fmt: skip
    checkpoint_minutes: float = option(5.0, "A checkpoint at least this often, beside one an epoch.", above=0.0)
    name: str = option("", "Name of the run and of its export; empty: the data's.")
    runs_dir: str = option("runs", "Folder of the training runs.")
    export_dir: str = option("saved_models", "Folder of the exported models.")
    keep_versions: int = option(
        0, "Newest versions of the export that stay, the new one included; 0: all.", at_least=0, recorded=False
    )
    resume: bool = option(False, "Continue the run --name from its last checkpoint.", recorded=False)

    def __post_init__(self):
        super().__post_init__()
        check_name(self.name)

    @property
    def run_name(self):
        """--name, or the data's."""
        return self.name or default_name(self.data)


@dataclasses.dataclass(frozen=True)
class ExportConfig(Settings):
    """`python -m tfvae.export`: exports a run's last checkpoint again."""

    RETIRED, RENAMED = _RETIRED, _RENAMED

    name: str = option("", "Name of the run; empty: the newest.")
    runs_dir: str = option("runs", "Folder of the training runs.")
    export_dir: str = option("saved_models", "Folder of the exported models.")
    keep_versions: int = option(
        0, "Newest versions of the export that stay, the new one included; 0: all.", at_least=0, recorded=False
    )
    sampler: str = option(
        "as_trained",
        "What the export draws codes from: as_trained (the run's own setting), matching or mixture (both need the "
        "run's data, to be fitted to its codes), or prior.",
        choices=("as_trained", *SAMPLERS),
    )
    path: str = option(
        "as_trained",
        "How the export walks: as_trained (the run's own setting), wipe, spherical or linear.",
        choices=("as_trained", *PATHS),
    )
    space: str = option(
        "",
        "Where a spherical or linear walk runs: base, or latent; empty: base, or as trained where --path is.",
        choices=("", *SPACES),
    )

    def __post_init__(self):
        super().__post_init__()
        check_name(self.name)
