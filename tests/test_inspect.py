"""`python -m tfvae.inspect`: the sheet shows what the model sees, the lines say what was found."""

import sys

import numpy as np
import pytest
from PIL import Image

from tfvae import commandline, config, inspect


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["inspect", *arguments])
    commandline.run(config.InspectConfig, inspect.main)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(40):
        path = tmp_path / "images" / ("red" if number % 2 else "blue") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (200 + number, 0, 0) if number % 2 else (0, 0, 200 + number)).save(path)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def test_inspect_shows_each_split_and_counts_its_labels(folder, monkeypatch, capsys):
    run(monkeypatch, "--data=images", "--image_size=10")
    said = capsys.readouterr().out
    assert "images: 40 images (PNG 40) of 20 x 10 pixels (width x height), seen as 10 x 10 in RGB" in said
    assert "32 train, 4 validation, 4 test" in said and "left out: 1 file that no image is in: .txt 1" in said
    assert "--fit=crop cuts off 50% of an image on average" in said
    assert "width / height: 2.00 to 2.00, median 2.00" in said
    rows = {
        line.split()[0]: list(map(int, line.split()[1:])) for line in said.splitlines() if line[:4] in ("red ", "blue")
    }
    assert [sum(column) for column in zip(*rows.values(), strict=True)] == [32, 4, 4]
    assert sum(rows["red"]) == sum(rows["blue"]) == 20
    sheet = np.asarray(Image.open("inspect.png").convert("RGB")).reshape(-1, 3)
    shown = {tuple(colour) for colour in sheet if colour.max() >= 200 and colour.min() == 0}
    assert len(shown) == 40  # Each image has a colour of its own.
    assert not list(folder.parent.glob("runs*"))


def test_inspect_overwrites_nothing_and_takes_pictures_alone(folder, monkeypatch):
    (folder.parent / "inspect.png").write_bytes(b"mine")
    for arguments in ([], ["--output=images"]):
        with pytest.raises(SystemExit) as ended:
            run(monkeypatch, "--data=images", *arguments)
        assert ended.value.code.startswith("error: --output")
    assert (folder.parent / "inspect.png").read_bytes() == b"mine"


def test_inspect_shows_transparency_on_a_checkerboard(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sprites").mkdir()
    for number in range(12):
        sprite = Image.new("RGBA", (16, 16))
        sprite.paste((255, 20 * number, 0, 255), (4, 4, 12, 12))
        sprite.save(tmp_path / "sprites" / f"{number}.png")
    run(monkeypatch, "--data=sprites", "--image_size=16", "--channels=4")
    sheet = np.asarray(Image.open("inspect.png").convert("RGB")).reshape(-1, 3)
    colours = {tuple(colour) for colour in sheet}
    assert {(200, 200, 200), (235, 235, 235)} <= colours
    assert {(255, 20 * number, 0) for number in range(12)} <= colours
