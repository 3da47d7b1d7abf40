"""The README's Python runs as it stands there, and its commands are commands."""

import pathlib
import re

import numpy as np
from PIL import Image, ImageSequence

from tfvae import commandline, config

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = {
    "train": config.TrainConfig,
    "generate": config.GenerateConfig,
    "reconstruct": config.ReconstructConfig,
    "interpolate": config.InterpolateConfig,
    "evaluate": config.EvaluateConfig,
    "inspect": config.InspectConfig,
    "export": config.ExportConfig,
    "client": config.ClientConfig,
}


def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(20):
        image = Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8))
        image.save(tmp_path / "photos" / f"{number}.png")
    names = {}
    for example in re.findall(r"^```python\n(.*?)^```", README, re.S | re.M):
        exec(compile(example, "README.md", "exec"), names)
    assert (tmp_path / "saved_models" / "photos" / "1" / "saved_model.pb").is_file()
    assert names["walk"].shape == (11, 16, 16, 3)
    assert names["vae"].image_shape == (48, 64, 3)
    with Image.open(tmp_path / "walk.gif") as animation:
        times = [frame.info["duration"] for frame in ImageSequence.Iterator(animation)]
    # There and back: 20 frames of 80 ms, the first and the last of a walk longer. Equal neighbours are one frame.
    assert len(times) > 1 and sum(times) == 80 * (8 + 9 + 8 + 9)


def test_every_command_line_parses(monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = re.findall(r"python -m tfvae\.(\w+)((?: --?[a-z_]+(?:=[^\s`|]+)?)*)", README)
    assert {command for command, _ in lines} == set(COMMANDS)
    for command, arguments in lines:
        given = [argument for argument in arguments.split() if argument not in ("--help",)]
        commandline.parse(COMMANDS[command], given)


def test_every_setting_of_the_table_has_the_default_it_says():
    rows = re.findall(r"^\| `--(\w+)` \| `?([\w.]+)`? \|", README, re.M)
    assert len(rows) >= 8
    for name, default in rows:
        assert str(getattr(config.TrainConfig(), name)) == default, name
