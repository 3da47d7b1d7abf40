"""Files of a run folder that something has damaged: said in one line, and made again where that can be done."""

import dataclasses
import shutil

import pytest

from tfvae import config, training


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


def test_an_export_that_needs_data_that_are_gone_says_so(whole, tmp_path, no_export):
    run = tmp_path / "runs_dir" / "run"
    shutil.copytree(whole, run)
    flags = (run / "flags.cfg").read_text().replace("--data=", f"--data={tmp_path}/gone", 1)
    (run / "flags.cfg").write_text(flags)
    settings = config.ExportConfig(name="run", runs_dir=str(run.parent), export_dir=str(tmp_path / "export_dir"))
    with pytest.raises(config.UserError, match=f"the data of {run} are needed for this: --data"):
        training.export_run(dataclasses.replace(settings, candidates=2))
    training.export_run(settings)


@pytest.mark.parametrize(
    "name, words", {"metrics.jsonl": "0 of the 1 epochs", "loss_per_batch.csv": "of the losses of 5"}.items()
)
def test_damaged_records_are_told_and_the_run_goes_on(begun, no_export, capsys, name, words):
    run, settings = begun
    for content in (b"\xff\x00\n" * 3, b"step,loss\n1,2\n"):
        (run / name).write_bytes(content)
        training.fit(settings)
        said = capsys.readouterr().err
        assert f"{run / name} is damaged: " in said and words in said
        (run / "test.json").unlink()
        (run / "checkpoints" / "000000010.npz").unlink()
