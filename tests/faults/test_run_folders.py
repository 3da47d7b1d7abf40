"""Files of a run folder that something has damaged: said in one line, and made again where that can be done."""

import dataclasses
import shutil

import numpy as np
import pytest

from tfvae import config, data, training
from tfvae.training import callbacks, runs


@pytest.fixture
def begun(whole, make, tmp_path):
    """(run folder, settings to continue it) of a training that was stopped after the first of two epochs."""
    run = tmp_path / "runs_dir" / "run"
    shutil.copytree(whole, run)
    (run / "flags.cfg").write_text((whole / "flags.cfg").read_text().replace(str(whole.parent.parent), str(tmp_path)))
    (run / "test.json").unlink()
    (run / "checkpoints" / "000000010.npz").unlink()
    return run, make(resume=True)


def cut(path):
    """Leaves the first half of a file; returns what it held."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return content


def test_a_damaged_list_of_the_data_is_one_line(begun, no_export):
    run, settings = begun
    content = cut(run / "data.json")
    for damaged in ((run / "data.json").read_bytes(), b"\xff", b"[]", b"{}"):
        (run / "data.json").write_bytes(damaged)
        with pytest.raises(config.UserError, match="data.json is damaged.*delete it and go on") as error:
            training.fit(settings)
        assert "\n" not in str(error.value)
    (run / "data.json").unlink()
    training.fit(settings)
    assert (run / "data.json").read_bytes() == content


def test_damaged_test_images_are_made_again(begun, no_export, capsys):
    run, settings = begun
    content = cut(run / "test_images.npy")
    training.fit(settings)
    assert (run / "test_images.npy").read_bytes() == content
    cut(run / "test_images.npy")
    training.export_run(config.ExportConfig(name="run", runs_dir=settings.runs_dir, export_dir=settings.export_dir))
    assert (run / "test_images.npy").read_bytes() == content
    assert "test_images.npy is damaged: it is made again" in capsys.readouterr().err


def test_test_images_that_cannot_be_those_are_made_again(begun):
    run, settings = begun
    path, loaded = run / "test_images.npy", data.load(settings)
    content, images = path.read_bytes(), np.load(path, allow_pickle=False)
    flipped = content[:8] + bytes([content[8] ^ 64]) + content[9:]
    for damaged in (content + b"1", flipped, np.zeros(3), images.astype(int), images[:, 1:], images[:0]):
        if isinstance(damaged, bytes):
            path.write_bytes(damaged)
        else:
            np.save(path, damaged)
        runs.keep_data(run, loaded)
        assert path.read_bytes() == content


def test_settings_that_are_cut_short_are_one_line(begun, no_export):
    run, settings = begun
    whole = (run / "flags.cfg").read_text().splitlines(keepends=True)
    for lines in ([], whole[:1], whole[:-1]):
        (run / "flags.cfg").write_text("".join(lines))
        with pytest.raises(config.UserError, match=f"flags.cfg: expected .* settings, got {max(0, len(lines) - 1)}"):
            training.fit(settings)


def test_a_quotation_mark_in_the_losses_loses_one_of_them(tmp_path):
    rows = ["step,loss", *(f"{step},{step}.5" for step in range(1, 41))]
    rows[7] = '"' + rows[7][1:]
    rows += ["41,9", "0,9", "-1,9", f"{'9' * 5000},9", "3"]
    (tmp_path / "losses.csv").write_text("\n".join(rows))
    losses = callbacks._read_losses(tmp_path / "losses.csv", 40)
    assert [step for step, loss in enumerate(losses, 1) if np.isnan(loss)] == [7]
    assert losses[39] == 40.5 and losses[2] == 3.5


@pytest.mark.parametrize("name", ["lock", "metrics.jsonl", "test_images.npy", "loss_per_batch.csv", "checkpoints"])
def test_what_is_in_the_place_of_a_file_is_named(begun, no_export, name):
    run, settings = begun
    if name == "checkpoints":
        shutil.rmtree(run / name)
        (run / name).write_text("mine")
    else:
        (run / name).unlink()
        (run / name).mkdir()
    with pytest.raises(config.UserError, match=f"run: cannot go on: .*{run / name}; once that is mended, --resume"):
        training.fit(settings)
    assert (run / name).exists()


def test_a_run_is_exported_to_where_it_was_to_be(begun, no_export, tmp_path, monkeypatch):
    run, settings = begun
    monkeypatch.chdir(tmp_path)
    version = training.fit(dataclasses.replace(settings, export_dir=config.TrainConfig.export_dir))
    assert version == tmp_path / "export_dir" / "run" / "1"


def test_an_export_that_needs_data_that_are_gone_says_so(whole, tmp_path, no_export, capsys):
    run = tmp_path / "runs_dir" / "run"
    shutil.copytree(whole, run)
    flags = (run / "flags.cfg").read_text().replace("--data=", f"--data={tmp_path}/gone", 1)
    (run / "flags.cfg").write_text(flags)
    settings = config.ExportConfig(name="run", runs_dir=str(run.parent), export_dir=str(tmp_path / "export_dir"))
    with pytest.raises(config.UserError, match=f"the data of {run} are needed for this: --data"):
        training.export_run(dataclasses.replace(settings, sampler="matching"))
    (run / "flags.cfg").write_text(flags.replace("--sampler=prior", "--sampler=matching"))
    training.export_run(settings)
    assert "goes on with --sampler=prior: the data of" in capsys.readouterr().err


def test_damaged_records_are_told_and_the_run_goes_on(begun, no_export, capsys):
    run, settings = begun
    (run / "metrics.jsonl").write_bytes(b"\xff\x00\n" * 3)
    (run / "loss_per_batch.csv").write_bytes(bytes(200_000))
    training.fit(settings)
    said = capsys.readouterr().err
    assert f"{run / 'metrics.jsonl'} is damaged: it has whole lines of 0 of the 1 epochs" in said
    assert f"{run / 'loss_per_batch.csv'} is damaged: it lacks 5 of the losses of 5 steps" in said
