"""A training as its user meets it: what it leaves, that it repeats, that it resumes as if nothing had happened."""

import csv
import dataclasses
import gc
import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image

from tfvae import config, serving, training
from tfvae.training import callbacks, checkpoints

TINY = {"image_size": 8, "width": 4, "latent_dim": 2, "epochs": 2, "batch_size": 3, "jit": False, "prior": "normal"}
TINY["sampler"] = "prior"  # The fit of another takes longer than such a training.
TINY["steps_per_execution"] = 1  # So that a test can stop between any two steps.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """18 images, of which training sees 14: its last batch holds two."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for number in range(18):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def settings_for(folder, place, **others):
    settings = {**TINY, "data": str(folder), "data_dir": str(place / "data"), "name": "run"}
    return config.TrainConfig(
        runs_dir=str(place / "runs"), export_dir=str(place / "saved_models"), **{**settings, **others}
    )


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """(run folder, settings, exported version) of an uninterrupted training."""
    place = tmp_path_factory.mktemp("whole")
    settings = settings_for(folder, place)
    version = training.fit(settings)
    return place / "runs" / "run", settings, version


def records(run):
    return (run / "metrics.jsonl").read_text(), (run / "loss_per_batch.csv").read_text()


def last_checkpoint(run):
    with np.load(max((run / "checkpoints").glob("*.npz")), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def assert_equal_runs(one, other):
    assert records(one) == records(other)
    first, second = last_checkpoint(one), last_checkpoint(other)
    assert first.keys() == second.keys() and first["step"] == second["step"]
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_an_epoch_leaves_no_figure_behind(folder, tmp_path):
    gc.collect()
    gc.disable()  # Left to itself, Python might collect them in time, or not.
    try:
        training.fit(settings_for(folder, tmp_path))
        assert not [one for one in gc.get_objects() if isinstance(one, Figure)]
    finally:
        gc.enable()


def test_a_run_leaves_what_the_readme_says(whole):
    run, settings, version = whole
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert {"flags.cfg", "metrics.jsonl", "loss_per_batch.csv", "learning_curve.png", "test.json", "data.json"} <= names
    assert {"checkpoints/000000005.npz", "checkpoints/000000010.npz"} <= names
    for picture in ("reconstructions", "samples", "walk"):
        assert f"pictures/epoch_0002_{picture}.png" in names
    assert any(name.startswith("tensorboard/events") for name in names)
    assert version.name == "1" and (version / "saved_model.pb").is_file()


def test_records_agree_with_each_other(whole):
    run, settings, _ = whole
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = list(csv.reader((run / "loss_per_batch.csv").read_text().splitlines()))[1:]
    assert [int(step) for step, _ in rows] == list(range(1, 11))
    losses = np.array([float(loss) for _, loss in rows])
    # Fourteen images in batches of 3: the last batch of an epoch has two images, and counts for two.
    weights = np.array([3, 3, 3, 3, 2])
    for epoch, part in zip(epochs, losses.reshape(2, 5), strict=True):
        np.testing.assert_allclose(epoch["loss"], np.average(part, weights=weights), rtol=1e-5)
        np.testing.assert_allclose(epoch["loss"], epoch["distortion"] + epoch["rate"], rtol=1e-5)
    np.testing.assert_allclose(epochs[-1]["learning_rate"], settings.lr_end, rtol=1e-4)


def test_the_export_is_the_averaged_model(whole):
    run, settings, version = whole
    served = serving.Served(version)
    images = np.random.default_rng(1).random((3, 8, 8, 3), dtype=np.float32)
    from tfvae.training.fit import _compiled

    vae = _compiled(settings, (8, 8, 3), 5)
    checkpoints.restore(vae, run / "checkpoints")
    with vae.averaged_weights():
        np.testing.assert_allclose(served.reconstruct(images), vae(images), atol=1e-5)
    assert np.abs(served.reconstruct(images) - vae(images)).max() > 1e-6


def test_the_same_settings_give_the_same_run(whole, folder, tmp_path, no_export):
    training.fit(settings_for(folder, tmp_path))
    assert_equal_runs(tmp_path / "runs" / "run", whole[0])


def test_flags_cfg_repeats_the_run(whole):
    from tfvae import commandline

    run, settings, _ = whole
    assert commandline.read_flagfile(config.TrainConfig, run / "flags.cfg") == settings


def test_steps_run_at_once_are_the_same_steps(whole, folder, tmp_path, no_export):
    training.fit(settings_for(folder, tmp_path, steps_per_execution=8))  # Five at once: an epoch has five.
    one, other = (np.loadtxt(run / "loss_per_batch.csv", delimiter=",", skiprows=1)
                  for run in (whole[0], tmp_path / "runs" / "run"))  # fmt: skip
    assert one.shape == (10, 2)
    np.testing.assert_allclose(other, one, rtol=1e-5)  # TensorFlow compiles a loop anew, so the last bits differ.
    first, second = last_checkpoint(whole[0]), last_checkpoint(tmp_path / "runs" / "run")
    for name in first.keys() - {"checksum"}:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("number", "limit", "divisor"), [(2000, 8, 8), (5, 8, 5), (12, 8, 6), (13, 8, 1), (1, 32, 1)])
def test_an_epoch_is_a_whole_number_of_executions(number, limit, divisor):
    from tfvae.training.fit import _largest_divisor

    assert _largest_divisor(number, limit) == divisor


def test_no_more_steps_run_at_once_than_losses_are_kept():
    from tfvae.model.vae import RECENT

    assert config.TrainConfig(steps_per_execution=RECENT).steps_per_execution == RECENT
    with pytest.raises(config.UserError, match="--steps_per_execution"):
        config.TrainConfig(steps_per_execution=RECENT + 1)


def test_under_a_strategy_what_it_cannot_do_is_left_out_with_a_line(whole, folder, tmp_path, no_export, capsys):
    settings = settings_for(folder, tmp_path, jit=True, steps_per_execution=5)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        training.fit(settings)
    assert "--jit=false --steps_per_execution=1" in capsys.readouterr().err
    assert_equal_runs(tmp_path / "runs" / "run", whole[0])


def test_two_devices_train_where_batches_can_be_shared(two_devices, tmp_path, no_export, capsys):
    random = np.random.default_rng(0)
    splits = {"train": 12, "validation": 6, "test": 6}
    np.savez(tmp_path / "a.npz", **{name: random.integers(0, 256, (count, 8, 8, 3), np.uint8)
                                    for name, count in splits.items()})  # fmt: skip
    settings = settings_for(tmp_path / "a.npz", tmp_path, batch_size=4, jit=True)
    with two_devices.scope():
        training.fit(settings)
        with pytest.raises(config.UserError, match="2 devices: expected training batches of a multiple of 2, got 3"):
            training.fit(dataclasses.replace(settings, batch_size=3, name="odd"))
    assert "--jit=false" in capsys.readouterr().err
    assert len((tmp_path / "runs" / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    assert not (tmp_path / "runs" / "odd").exists()


def test_fewer_steps_at_once_than_asked_for_are_told(folder, tmp_path, no_export, capsys):
    training.fit(settings_for(folder, tmp_path, steps_per_execution=8))
    assert "--steps_per_execution=5, not 8: an epoch of 5 steps" in capsys.readouterr().err


@pytest.mark.parametrize("stop_at", [2, 5, 8])
def test_a_run_that_was_stopped_resumes_as_if_nothing_had_happened(
    whole, folder, tmp_path, monkeypatch, no_export, stop_at, capsys
):
    settings = settings_for(folder, tmp_path)
    original = callbacks.Progress.on_train_batch_end

    def stop(self, batch, logs=None):
        if self.step + 1 == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Progress, "on_train_batch_end", stop)
        assert training.fit(settings) is None
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "saved_models").exists()
    training.fit(dataclasses.replace(settings, resume=True))
    assert_equal_runs(tmp_path / "runs" / "run", whole[0])


def test_a_run_that_was_killed_repeats_what_no_checkpoint_holds(whole, folder, tmp_path, monkeypatch, no_export):
    settings = settings_for(folder, tmp_path)
    original = callbacks.Progress.on_train_batch_end

    class Killed(BaseException):
        pass

    def kill(self, batch, logs=None):
        original(self, batch, logs)
        if self.step == 8:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(callbacks.Progress, "on_train_batch_end", kill)
        training.fit(settings)
    # What the killed run wrote after its checkpoint must not be found twice.
    with open(tmp_path / "runs" / "run" / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2}\n')
    newest = max((tmp_path / "runs" / "run" / "checkpoints").glob("*.npz"))
    assert newest.name == "000000005.npz"
    training.fit(dataclasses.replace(settings, resume=True))
    assert_equal_runs(tmp_path / "runs" / "run", whole[0])


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoint(folder, tmp_path, monkeypatch):
    settings = settings_for(folder, tmp_path)
    original = callbacks.Progress.on_train_batch_end

    def spoil(self, batch, logs=None):
        if self.step == 6:
            self.model.recent_losses.assign(self.model.recent_losses * float("nan"))
        original(self, batch, logs)

    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", spoil)
    with pytest.raises(config.UserError, match=r"The loss is nan at step 7 \(epoch 2\).*lower --lr"):
        training.fit(settings)
    assert [path.name for path in (tmp_path / "runs" / "run" / "checkpoints").iterdir()] == ["000000005.npz"]


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(whole, tmp_path, capsys):
    from tfvae.training.fit import _compiled

    run, settings, _ = whole
    copies = tmp_path / "checkpoints"
    copies.mkdir()
    for path in (run / "checkpoints").iterdir():
        (copies / path.name).write_bytes(path.read_bytes())
    newest = bytearray((copies / "000000010.npz").read_bytes())
    newest[len(newest) // 2] ^= 255
    (copies / "000000010.npz").write_bytes(newest)
    assert checkpoints.restore(_compiled(settings, (8, 8, 3), 5), copies) == 5
    assert "000000010.npz is damaged" in capsys.readouterr().out


def test_nothing_is_overwritten(whole):
    run, settings, _ = whole
    before = records(run)
    with pytest.raises(config.UserError, match="exists: --resume continues this run, --name=OTHER starts another"):
        training.fit(settings)
    with pytest.raises(config.UserError, match="--lr: .* was started with 0.0001, got 0.5"):
        training.fit(dataclasses.replace(settings, lr=0.5, resume=True))
    assert records(run) == before


def test_a_folder_of_something_else_is_refused(folder, tmp_path):
    (tmp_path / "runs" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "run" / "thesis.tex").write_text("years of work")
    with pytest.raises(config.UserError, match="is no run folder, and not empty"):
        training.fit(settings_for(folder, tmp_path))


def test_a_finished_run_and_other_data_are_not_resumed(whole, folder, tmp_path, no_export, capsys):
    run, settings, _ = whole
    with pytest.raises(config.UserError, match="is finished; `python -m tfvae.export --name=run`"):
        training.fit(dataclasses.replace(settings, resume=True))
    copied = tmp_path / "runs" / "run"
    copied.mkdir(parents=True)
    for name in ("flags.cfg", "data.json"):
        (copied / name).write_bytes((run / name).read_bytes())
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for image in sorted(folder.glob("1*.png")):
        (fewer / image.name).write_bytes(image.read_bytes())
    flags = (copied / "flags.cfg").read_text().replace(str(folder), str(fewer))
    (copied / "flags.cfg").write_text(flags)
    with pytest.raises(config.UserError, match=r"was started with other images \(14 for training, now \d+\)"):
        kept = {name: getattr(settings, name) for name in ("data_dir", "export_dir")}
        training.fit(dataclasses.replace(settings_for(fewer, tmp_path, resume=True), **kept))


def test_folders_that_cannot_be_written_are_named_before_any_work(folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    for flag in ("runs_dir", "export_dir"):
        settings = dataclasses.replace(settings_for(folder, tmp_path), **{flag: str(tmp_path / "file" / "below")})
        with pytest.raises(config.UserError, match=f"--{flag} must be a folder, but .*file is a file"):
            training.fit(settings)
    assert not (tmp_path / "runs").exists()


def test_losses_that_are_missing_leave_the_others_at_their_steps(tmp_path):
    path = tmp_path / "loss_per_batch.csv"
    path.write_text("step,loss\n1,5.0\n2,4.0\n4,3.5\n5,")
    np.testing.assert_array_equal(callbacks._read_losses(path, 6), [5.0, 4.0, np.nan, 3.5, np.nan, np.nan])
    assert callbacks._read_losses(path, 1) == [5.0]


def test_export_run_writes_the_next_version(whole):
    run, settings, version = whole
    again = training.export_run(
        config.ExportConfig(name="run", runs_dir=settings.runs_dir, export_dir=settings.export_dir)
    )
    assert again == version.parent / "2"
    images = np.random.default_rng(1).random((3, 8, 8, 3), dtype=np.float32)
    np.testing.assert_array_equal(
        serving.Served(again).reconstruct(images), serving.Served(version).reconstruct(images)
    )


def test_runs_that_are_not_there_are_named(tmp_path):
    with pytest.raises(config.UserError, match="--runs_dir: no run in"):
        training.export_run(config.ExportConfig(runs_dir=str(tmp_path)))
    with pytest.raises(config.UserError, match="--name: no run 'nope' in"):
        training.export_run(config.ExportConfig(name="nope", runs_dir=str(tmp_path)))
