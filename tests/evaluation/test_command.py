"""`python -m tfvae.evaluate` on tiny exports: with the avatars' attributes and without any."""

import json
import shutil
import sys
import types

import numpy as np
import pytest
from PIL import Image

from tfvae import commandline, config, data, evaluate, model, serving
from tfvae.data import avatars, value_range
from tfvae.evaluation import command, figures, samples

SIZES = ["--num_images=20", "--num_walks=2", "--steps=3", "--importance_images=2", "--importance_samples=3"]


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    commandline.run(config.EvaluateConfig, evaluate.main)
    return capsys.readouterr().out


def export(folder, extras=None, **settings):
    """Writes an untrained model of 16 x 16 images and returns its version's folder."""
    settings = config.TrainConfig(image_size=16, width=4, latent_dim=2, data_dir=str(folder / "prepared"), **settings)
    shape = (16, 16, settings.channels or 3)
    vae = model.build(settings, shape, seed=0)
    base, examples = folder / "saved_models" / "tiny", np.zeros((2, *shape), np.uint8)
    if not extras:
        return serving.export(vae, settings, base, examples)
    images = data.load(settings)
    return serving.export(vae, settings, base, examples, spec=images.spec, digests=images.digests("train"))


def draw_squares(folder, count, seed):
    """Writes `count` PNG files for each of three classes: a square of the class's colour on nothing."""
    random = np.random.default_rng(seed)
    for name, colour in (("red", (220, 30, 30)), ("green", (30, 200, 30)), ("blue", (30, 30, 230))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.zeros((16, 16, 4), np.uint8)
            top, left = random.integers(0, 9, 2)
            pixels[top : top + 7, left : left + 7] = (*(np.array(colour) + random.integers(-20, 20, 3)), 255)
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")


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


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory):
    """(folder, version) of an export of squares with transparency in three class folders."""
    patch = pytest.MonkeyPatch()
    patch.setattr("tfvae.evaluation.reader._IMAGES", 6400)
    folder = tmp_path_factory.mktemp("classes")
    draw_squares(folder / "images", 20, seed=0)
    yield folder, export(folder, extras=True, data=str(folder / "images"), channels=4, holdout=0.2, prior="normal")
    patch.undo()


@pytest.fixture
def other_squares(of_classes, tmp_path):
    """A folder of nine squares, and of a tenth that the export was trained on."""
    folder, _ = of_classes
    draw_squares(tmp_path / "other", 3, seed=1)
    settings = config.DataConfig(data=str(folder / "images"), image_size=16, channels=4, holdout=0.2)
    name = data.load(settings).names["train"][0]
    shutil.copy(folder / "images" / name, tmp_path / "other" / "blue" / "known.png")
    return tmp_path / "other"


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
        "codes drawn at std 1",
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
    assert likelihood["sampler_elbo"]["value"] == pytest.approx(
        -likelihood["distortion"]["value"] - likelihood["sampler_rate"]["value"], rel=1e-6
    )
    assert 0 <= groups["codes drawn at std 1"]["told_apart"]["value"] <= 1
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
    for name in ("attributes.png", "somebody's.png"):  # An older evaluation's picture, and somebody's.
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


def test_a_folder_is_a_test_set_as_a_whole(of_classes, other_squares, tmp_path, monkeypatch, capsys):
    folder, version = of_classes
    monkeypatch.chdir(folder)
    run(monkeypatch, capsys, f"--model={version}", "--data=images", f"--output={tmp_path / 'own'}", *SIZES)
    own = measured(tmp_path / "own")
    assert own["about"]["data"] == str(folder / "images") and "36 to train, of the 12 test" in own["about"]["images"]
    assert own["details"]["reader_accuracy"]["clean"]["class"] > 0.9
    told = run(monkeypatch, capsys, f"--model={version}", f"--data={other_squares}", f"--output={tmp_path / 'out'}",
               *SIZES)  # fmt: skip
    found = measured(tmp_path / "out")
    assert "16 x 16 x 4, of the 9 test images 9 are looked at" == found["about"]["images"]
    assert "left out: 1 image that the model was trained on: blue/known.png" in told
    assert any("trained on: blue/known.png" in note for note in found["notes"])
    # The share of each class among the nine; an untrained model's samples are of one class at most.
    shares = found["details"]["coverage, samples, std 0.8"]["class"]["shares of test images and of samples"]
    assert [known for known, _ in shares.values()] == pytest.approx([1 / 3] * 3)
    # Copies are looked for where they would come from: the numbers are those of the own data.
    one, other = (some["measures"]["samples, std 0.8"] for some in (own, found))
    assert all(one[name] == other[name] for name in ("nearest_training_image", "copies"))
    assert (tmp_path / "out" / "nearest.png").exists()
    # The floor is the same model on its own validation images.
    for group in ("likelihood of test images", "reconstruction of test images"):
        for name, number in found["measures"][group].items():
            assert number["floor"] == own["measures"][group][name]["floor"]


def test_floors_and_copies_are_left_out_where_the_own_data_are_gone(
    of_classes, other_squares, tmp_path, monkeypatch, capsys
):
    folder, version = of_classes
    (tmp_path / "out").mkdir()
    for name in ("evaluation.json", "report.html", "nearest.png"):  # An evaluation that is replaced.
        (tmp_path / "out" / name).touch()
    (folder / "images").rename(folder / "elsewhere")
    try:
        told = run(monkeypatch, capsys, f"--model={version}", f"--data={other_squares}", f"--output={tmp_path / 'out'}",
                   "--overwrite", *SIZES)  # fmt: skip
    finally:
        (folder / "elsewhere").rename(folder / "images")
    found = measured(tmp_path / "out")
    floors = [number["floor"] for numbers in found["measures"].values() for number in numbers.values()]
    assert len(floors) > 15 and set(floors) == {None}
    assert set(found["measures"]["samples, std 0.8"]) == {"sharpness"}
    assert not (tmp_path / "out" / "nearest.png").exists()
    assert "of the 9 test images" in found["about"]["images"] and "trained on: blue/known.png" in told
    for words in ("Floors are left out", "Copies are left out", "Attributes, redrawing"):
        assert any(note.startswith(words) for note in found["notes"])


def test_what_an_older_export_was_trained_on_is_known_by_its_data(of_arrays, tmp_path, monkeypatch, capsys):
    folder, version = of_arrays
    with np.load(folder / "images.npz") as arrays:
        np.save(tmp_path / "some.npy", np.concatenate([arrays["train"][4:7], arrays["test"][:5]]))
    told = run(monkeypatch, capsys, f"--model={version}", f"--data={tmp_path / 'some.npy'}",
               f"--output={tmp_path / 'out'}", *SIZES, "--importance_images=0")  # fmt: skip
    assert "left out: 3 images that the model was trained on: image 0, image 1, image 2" in told
    assert "of the 5 test images 5 are looked at" in measured(tmp_path / "out")["about"]["images"]


def test_the_same_data_by_other_names(tmp_path, monkeypatch):
    (tmp_path / "faces").mkdir()
    (tmp_path / "link").symlink_to("faces")
    monkeypatch.chdir(tmp_path)
    assert command._is_same("faces", f"{tmp_path}/link/") and command._is_same("avatars", "avatars/personas")
    assert not command._is_same("faces", "avatars") and not command._is_same("avatars/lorelei", "avatars")


def test_changes_of_the_own_data_are_told():
    splits = {"train": [1, 2, 3, 9], "validation": [4], "test": [2, 5]}
    own = types.SimpleNamespace(digests=lambda split: np.array(splits[split], np.uint64))
    (note,) = command._changes(own, np.uint64([1, 2, 3, 8]))
    assert "1 training images are others, and 1 of the validation and test images were trained on" in note
    splits["test"] = [5]
    assert command._changes(own, None) == [] == command._changes(own, np.uint64([1, 2, 3, 9]))


def test_deep_values_are_those_of_the_training(tmp_path):
    (tmp_path / "signatures.json").write_text('{"black": 10.0, "white": 4000.0}')
    own = types.SimpleNamespace(spec=types.SimpleNamespace(deep_values=None))
    assert command._deep_values(tmp_path, None) == value_range.ValueRange(10, 4000)
    assert command._deep_values(tmp_path, own) is None  # The training has seen none.
    (tmp_path / "signatures.json").write_text("{}")
    assert command._deep_values(tmp_path, None) is None


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
