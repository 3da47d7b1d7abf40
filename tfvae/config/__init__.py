"""The settings of every command: name, type, default, help and bounds, each said once.

A command's settings are a frozen dataclass. `commandline` makes flags of its fields, the library takes the same
dataclass as its argument, and a run keeps it as `runs/NAME/flags.cfg`. Nothing here imports TensorFlow.
"""

from tfvae.config.paths import PROGRAM, check_name, check_writable, folder, path_of
from tfvae.config.serving import (
    ClientConfig,
    EvaluateConfig,
    GenerateConfig,
    InterpolateConfig,
    ReconstructConfig,
    ServedConfig,
)
from tfvae.config.training import DataConfig, ExportConfig, InspectConfig, ModelConfig, TrainConfig, default_name
from tfvae.config.walks import PathConfig
from tfvae.settings import Settings, UserError, option

__all__ = [
    "PROGRAM",
    "ClientConfig",
    "DataConfig",
    "EvaluateConfig",
    "ExportConfig",
    "GenerateConfig",
    "InspectConfig",
    "InterpolateConfig",
    "ModelConfig",
    "PathConfig",
    "ReconstructConfig",
    "ServedConfig",
    "Settings",
    "TrainConfig",
    "UserError",
    "check_name",
    "check_writable",
    "default_name",
    "folder",
    "option",
    "path_of",
]
