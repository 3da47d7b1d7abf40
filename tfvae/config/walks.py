"""How a walk goes from one image to another: one setting for commands, trainings and exports alike."""

import dataclasses

from tfvae.settings import Settings, UserError, option

PATHS = ("wipe", "spherical", "linear")
SPACES = ("base", "latent")


@dataclasses.dataclass(frozen=True)
class PathConfig(Settings):
    """The path of a walk, and where it runs."""

    path: str = option(
        "wipe",
        "How a walk goes (of train: that of the exported interpolate, and in pictures): wipe, part by part from the "
        "top down, what both images have in common stays; or through the model's space, by even turns (spherical) or "
        "straight (linear).",
        choices=PATHS,
    )
    space: str = option(
        "",
        "Where a spherical or linear walk runs: base (also if empty), the sampler's Gaussian noise, or latent.",
        choices=("", *SPACES),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.space and self.path == "wipe":
            raise UserError(f"--space={self.space} needs --path=spherical or --path=linear, got --path=wipe.")

    @property
    def way(self):
        """(path, space), as `serving.Served.walk` takes them."""
        return self.path, self.space or "base"
