"""A training that is killed at the worst moments and continued leaves what an uninterrupted one does."""

import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import dying
import numpy as np
import pytest
import test_cartoonset

from tfvae import commandline, config, serving, training

ROOT = pathlib.Path(__file__).parent.parent.parent
TINY = {
    "data": "cartoonset10k", "image_size": 8, "width": 4, "latent_dim": 2, "epochs": 2, "batch_size": 5, "jit": False,
    "prior": "normal", "sampler": "prior", "steps_per_execution": 1, "name": "run",
}  # fmt: skip


def settings_for(place, archive, data_dir=None):
    folders = {"runs_dir": place / "runs", "export_dir": place / "saved_models", "data_dir": data_dir or place / "data"}
    return config.TrainConfig(archive=str(archive), **TINY, **{name: str(path) for name, path in folders.items()})


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "cartoonset10k"
    test_cartoonset.write_folder(folder, test_cartoonset.members("10k"))
    return folder


@pytest.fixture(scope="module")
def whole(archive, tmp_path_factory):
    """(run folder, settings) of an uninterrupted training in this process."""
    place = tmp_path_factory.mktemp("whole")
    settings = settings_for(place, archive)
    training.fit(settings)
    return place / "runs" / "run", settings


@pytest.fixture(scope="module")
def killed(archive, whole, tmp_path_factory):
    """{moment: (folder, settings)} of trainings that killed themselves, all at the same time."""
    last = max(path.stem for path in (whole[0] / "checkpoints").iterdir())
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "data"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "LAST_STEP": last, "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = {}
    for number, moment in enumerate(dying.MOMENTS):
        place = tmp_path_factory.mktemp(f"killed-{number}")
        settings = settings_for(place, archive)
        if moment != "while TFDS prepares":
            shutil.copytree(whole[1].data_dir, settings.data_dir)
        (place / "flags.cfg").write_text(commandline.flagfile(settings))
        command = [sys.executable, dying.__file__, moment, f"--flagfile={place / 'flags.cfg'}"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started[moment] = (subprocess.Popen(command, env=environment, **pipes), settings)
    ended = {}
    for moment, (child, settings) in started.items():
        said, _ = child.communicate(timeout=300)
        assert child.returncode == -signal.SIGKILL, said
        ended[moment] = settings
    return ended


def contents(run):
    """Returns (metrics.jsonl, the losses, the last checkpoint) of a run, each as bytes or arrays."""
    with np.load(max((run / "checkpoints").glob("*.npz")), allow_pickle=False) as archive:
        arrays = {name: archive[name].tobytes() for name in archive.files}
    return (run / "metrics.jsonl").read_bytes(), (run / "loss_per_batch.csv").read_bytes(), arrays


@pytest.mark.parametrize("moment", dying.MOMENTS)
def test_a_killed_run_continues_as_if_nothing_had_happened(whole, killed, moment, monkeypatch):
    settings = killed[moment]
    if "export" not in moment:  # It takes most of a tiny training's time.
        monkeypatch.setattr(serving, "export", lambda vae, settings, base_dir, *_: base_dir / "1")
    training.fit(dataclasses.replace(settings, resume=True))
    run = pathlib.Path(settings.runs_dir) / "run"
    assert contents(run) == contents(whole[0])
    assert (run / "test.json").read_bytes() == (whole[0] / "test.json").read_bytes()
    assert len(list((run / "checkpoints").glob("*.npz"))) == 2
    left = [path for path in pathlib.Path(settings.runs_dir).parent.rglob("*") if "writing" in path.name]
    assert left == [] and not list(pathlib.Path(settings.data_dir).rglob("incomplete.*"))
    if "export" in moment:
        exports = sorted(path.name for path in (pathlib.Path(settings.export_dir) / "run").iterdir())
        assert exports == (["1", "2"] if moment == "after the export" else ["1"])
