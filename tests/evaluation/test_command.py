"""`python -m tfvae.evaluate` on tiny exports: with the avatars' attributes and without any."""

import json
import sys

import numpy as np
import pytest

from tfvae import commandline, config, evaluate, model, serving
from tfvae.data import avatars
from tfvae.evaluation import figures, samples

SIZES = ["--num_images=20", "--num_walks=2", "--steps=3", "--importance_images=2", "--importance_samples=3"]


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    commandline.run(config.EvaluateConfig, evaluate.main)
    return capsys.readouterr().out


def export(folder, **settings):
    """Writes an untrained model of 16 x 16 images and returns its version's folder."""
    settings = config.TrainConfig(image_size=16, width=4, latent_dim=2, data_dir=str(folder / "prepared"), **settings)
    vae = model.build(settings, (16, 16, 3), seed=0)
    return serving.export(vae, settings, folder / "saved_models" / "tiny", np.zeros((2, 16, 16, 3), np.uint8))


@pytest.fixture(scope="module")
def of_avatars(tmp_path_factory):
    """(folder, version) of an export that was to be trained on a few avatars."""
    patch = pytest.MonkeyPatch()
    patch.setattr(avatars, "COUNTS", (80, 30, 30))
    patch.setattr("tfvae.evaluation.reader._IMAGES", 640)
    folder = tmp_path_factory.mktemp("avatars")
    yield folder, export(folder, prior="normal")
    patch.undo()


@pytest.fixture(scope="module")
def of_arrays(tmp_path_factory):
    """(folder, version) of an export of images without attributes."""
    folder = tmp_path_factory.mktemp("arrays")
    images = np.random.default_rng(0).integers(0, 256, (90, 16, 16, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", train=images[:30], validation=images[30:60], test=images[60:])
    return folder, export(folder, data=str(folder / "images.npz"), network="convolutional")


def measured(output):
    return json.loads((output / "evaluation.json").read_text())


def test_avatars_are_measured_by_every_measure(of_avatars, tmp_path, monkeypatch, capsys):
    folder, version = of_avatars
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    (tmp_path / "runs" / "tiny" / "learning_curve.png").write_bytes(b"the curve")
    told = run(monkeypatch, capsys, f"--model={version}", f"--output={tmp_path / 'out'}", *SIZES,
               f"--runs_dir={tmp_path / 'runs'}")  # fmt: skip
    found = measured(tmp_path / "out")
    groups = found["measures"]
    assert list(groups) == [
        "likelihood of test images",
        "reconstruction of test images",
        "samples, std 0.8",
        "samples, std 1",
        "walks between test images",
    ]
    first = groups["samples, std 0.8"]
    assert {"redrawing_psnr", "coverage_tv_mean", "reader_frechet_distance", "copies", "share_of_sunglasses"} <= set(
        first
    )
    # An untrained model draws no avatars; real images are their own redrawings.
    assert first["redrawing_psnr"]["value"] < 20 and first["redrawing_psnr"]["floor"] == pytest.approx(100)
    assert first["redrawing_over_25"]["floor"] == 1
    # The renderer's own walk is read as it was drawn; of what an untrained model makes of it nothing is.
    once = groups["walks between test images"]["switches_once"]
    assert once["floor"] == 1 and once["value"] < 0.5
    assert groups["walks between test images"]["switches_once_of_reconstructions"]["value"] < 0.5
    likelihood = groups["likelihood of test images"]
    assert likelihood["elbo"]["value"] == pytest.approx(
        -likelihood["distortion"]["value"] - likelihood["rate"]["value"], rel=1e-6
    )
    assert likelihood["log_prob_3"]["value"] >= likelihood["log_prob_1"]["value"]
    assert "walks" in told and "psnr" in told and "out/report.html" in told
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert {"attributes.png", "walks_redrawn.png", "worst.png", "nearest.png"} <= pictures
    assert "Learning curve" in (tmp_path / "out" / "report.html").read_text()
    assert any("the reader" in note for note in found["notes"])
    assert found["about"]["walks"] == "wipe, 3 images each"


def test_test_images_as_samples_are_beyond_reproach(of_avatars, tmp_path, monkeypatch, capsys):
    def held_out(scene, std):
        return scene.test.images

    monkeypatch.setattr(samples, "draw", held_out)
    run(monkeypatch, capsys, f"--model={of_avatars[1]}", f"--output={tmp_path / 'out'}", *SIZES, "--std=1")
    found = measured(tmp_path / "out")["measures"]["samples, std 1"]
    assert found["redrawing_psnr"]["value"] == pytest.approx(100) and found["redrawing_over_25"]["value"] == 1
    assert found["coverage_tv_max"]["value"] == pytest.approx(0) and found["sharpness"]["value"] == pytest.approx(1)
    assert found["reader_frechet_distance"]["value"] == pytest.approx(0, abs=1e-4)
    assert found["reader_recall"]["value"] == 1 and found["nearest_training_image"]["value"] == pytest.approx(1)


def test_data_without_attributes_leave_those_parts_out(of_arrays, tmp_path, monkeypatch, capsys):
    folder, version = of_arrays
    monkeypatch.chdir(tmp_path)
    before = tmp_path / "evaluation" / "tiny-1"
    before.mkdir(parents=True)
    for name in ("attributes.png", "somebody's.png"):  # An evaluation of other data, and what is none of it.
        (before / name).write_bytes(b"")
    told = run(monkeypatch, capsys, f"--export_dir={folder / 'saved_models'}", *SIZES, "--importance_images=0",
               "--overwrite")  # fmt: skip
    assert (before / "somebody's.png").exists()
    found = measured(tmp_path / "evaluation" / "tiny-1")
    assert "the data has no attributes" in told
    assert "The learning curve is left out: runs/tiny/learning_curve.png is not there." in told
    assert set(found["measures"]["samples, std 0.8"]) == {"sharpness", "nearest_training_image", "copies"}
    assert set(found["measures"]["walks between test images"]) == {"sharpness", "largest_step", "cross_fade_sharpness"}
    assert not (tmp_path / "evaluation" / "tiny-1" / "attributes.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output=page.png"], "--output must be a folder, got page.png"),
        (["--output=full"], "--output: the folder full is not empty"),
        (["--model=nowhere"], "--model: no such folder: nowhere"),
        (["--data=nowhere"], "--data must be avatars"),
        (["--reader_only"], "--reader_only: --data=.* has no attributes to read"),
        (["--steps=2"], "--steps must be at least 3, got 2"),
    ],
)
def test_mistakes_are_one_line(of_arrays, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(SystemExit, match=words) as error:
        run(monkeypatch, capsys, f"--export_dir={of_arrays[0] / 'saved_models'}", *arguments)
    assert "\n" not in error.value.code
    assert (tmp_path / "full" / "mine.txt").exists()


def test_an_export_from_before_log_prob_is_measured_without_likelihood(of_arrays, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(serving.Served, "has", lambda self, name: name != "log_prob")
    told = run(monkeypatch, capsys, f"--model={of_arrays[1]}", f"--output={tmp_path / 'out'}", *SIZES)
    assert (
        "Likelihood is left out" in told and "likelihood of test images" not in measured(tmp_path / "out")["measures"]
    )


def test_quick_looks_at_less():
    assert config.EvaluateConfig(quick=True).sizes == (150, 12, 8, 50)
    assert config.EvaluateConfig(quick=True, num_images=30, importance_images=0).sizes == (30, 12, 0, 50)


def test_no_learning_curve_where_there_is_no_run(of_arrays, tmp_path):
    served = serving.Served(of_arrays[1])
    assert figures.learning_curve(config.EvaluateConfig(runs_dir=str(tmp_path)), served) is None
