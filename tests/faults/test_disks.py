"""Disks that are full, read-only, limited or somebody else's: one line, and what was there before stays whole."""

import dataclasses
import errno
import os
import pathlib
import resource

import numpy as np
import places
import pytest
import test_cartoonset
from compared import contents

from tfvae import config, pictures, serving, training
from tfvae.training import callbacks, checkpoints, runs


def refused(settings, words):
    """Trains; returns the one line with which it ends."""
    with pytest.raises(config.UserError, match=words) as error:
        training.fit(settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def fill_at(monkeypatch, owner, name, disk, epoch=1):
    """Fills the disk before `owner.name`, a callback's method, is called at the end of `epoch`, counted from 0."""
    original = getattr(owner, name)

    def full(self, number, logs=None):
        if number == epoch:
            places.fill(disk)
        original(self, number, logs)

    monkeypatch.setattr(owner, name, full)


@pytest.mark.parametrize("where", ["on_epoch_end of Progress", "on_epoch_end of Records"])
def test_a_full_disk_ends_the_run_and_it_continues(make, tmp_path, whole, where, monkeypatch, no_export):
    method, owner = where.split(" of ")
    with places.disk(tmp_path / "disk", "8m") as disk:
        settings = make(runs_dir=str(disk / "runs"))
        with monkeypatch.context() as patch:
            fill_at(patch, getattr(callbacks, owner), method, disk)
            refused(settings, "No space left on device.*--resume (continues|goes on)")
        run = disk / "runs" / "run"
        assert [path.name for path in (run / "checkpoints").iterdir()] == ["000000005.npz"]
        (disk / "ballast").unlink()
        training.fit(dataclasses.replace(settings, resume=True))
        assert contents(run) == contents(whole)


def test_a_full_disk_while_exporting_leaves_earlier_exports_and_can_be_finished(make, tmp_path):
    with places.disk(tmp_path / "disk", "12m") as disk:
        settings = make(export_dir=str(disk), epochs=1)
        first = training.fit(settings)
        before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
        places.fill(disk)
        again = dataclasses.replace(settings, name="again")
        refused(again, "--export_dir: cannot write .*again: .*No space left on device")
        assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
        (disk / "ballast").unlink()
        version = training.fit(dataclasses.replace(again, resume=True))
        assert serving.Served(version).image_shape == (8, 8, 3)
        assert [path.name for path in (disk / "again").iterdir()] == ["1"]


def test_a_full_disk_while_preparing_is_one_line_and_the_name_stays_free(make, tmp_path, no_export):
    archive = test_cartoonset.write_folder(tmp_path / "archive", test_cartoonset.members("10k"))
    with places.disk(tmp_path / "disk", "1m") as disk:
        ballast = places.fill(disk)
        for others in ({"data": "cartoonset10k", "archive": str(archive)}, {"cache": "disk"}):
            refused(make(data_dir=str(disk), **others), "--data.*(could not be prepared|cannot write)")
            assert not (tmp_path / "runs_dir" / "run").exists()
        ballast.unlink()
        training.fit(make(data_dir=str(disk), data="cartoonset10k", archive=str(archive), epochs=1))
        left = [path for path in disk.rglob("*") if "incomplete" in path.name]
        assert left == []


def test_a_full_disk_leaves_no_half_file_of_an_output(tmp_path):
    with places.disk(tmp_path / "disk", "64k") as disk:
        small, large = (np.random.default_rng(0).integers(0, 256, (n, n, 3), np.uint8) for n in (20, 200))
        pictures.save(small, disk / "small.png")
        with pytest.raises(OSError, match="No space left"):
            pictures.save(large, disk / "large.png")
        with pytest.raises(OSError, match="No space left"):
            pictures.save_png(pictures.to_png(large), disk / "large.png")
        assert [path.name for path in disk.iterdir()] == ["small.png"]


def test_pictures_and_tensorboard_on_a_full_disk_end_no_training(make, tmp_path, whole, monkeypatch, no_export, capsys):
    settings = make(name="drawn")
    original = runs.keep_data
    with places.disk(tmp_path / "disk", "64k") as disk:
        for name in ("pictures", "tensorboard"):
            (disk / name).mkdir()
        places.fill(disk)

        def link(folder, images):
            for name in ("pictures", "tensorboard"):
                (folder / name).symlink_to(disk / name)
            return original(folder, images)

        monkeypatch.setattr(runs, "keep_data", link)
        training.fit(settings)
    said = capsys.readouterr().err
    assert said.count("pictures cannot be drawn (No space left on device); training goes on") == 1
    assert contents(pathlib.Path(settings.runs_dir) / "drawn") == contents(whole)


def test_whatever_fails_in_drawing_ends_no_training(make, whole, monkeypatch, no_export, capsys):
    def fail(*_, **__):
        raise RuntimeError("no fonts\nand more")

    monkeypatch.setattr(pictures, "learning_curve", fail)
    monkeypatch.setattr(callbacks.Records, "_draw", fail)
    monkeypatch.setattr(callbacks.Records, "_write_board", fail)
    settings = make(name="undrawn")
    training.fit(settings)
    said = capsys.readouterr().err
    assert said.count("(RuntimeError: no fonts); training goes on") == 3
    assert contents(pathlib.Path(settings.runs_dir) / "undrawn") == contents(whole)


def test_a_read_only_disk_is_one_line(make, tmp_path):
    with places.disk(tmp_path / "disk", "1m") as disk, places.read_only(disk):
        refused(make(runs_dir=str(disk / "runs")), "--runs_dir: cannot write into .*Read-only file system")
        refused(make(export_dir=str(disk / "exports")), "--export_dir: cannot write into .*Read-only file system")
        refused(make(data_dir=str(disk), cache="disk"), "--data_dir: cannot write .*Read-only file system")
    assert not (tmp_path / "runs_dir" / "run").exists()


def test_a_folder_of_somebody_else_is_one_line(make, tmp_path):
    tmp_path.chmod(0o755)
    with places.another_user():
        refused(make(), "--runs_dir: .*[Pp]ermission")


def test_a_limit_is_one_line_and_the_checkpoint_before_stays(make, tmp_path, monkeypatch, no_export):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    original = callbacks.Records.on_epoch_end

    def limited(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))

    monkeypatch.setattr(callbacks.Records, "on_epoch_end", limited)
    try:
        refused(make(), "Cannot write a checkpoint into .*File too large.*--resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [path.name for path in (tmp_path / "runs_dir" / "run" / "checkpoints").iterdir()] == ["000000005.npz"]


def test_a_quota_is_one_line(make, monkeypatch, no_export):
    def over(*_, **__):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(np, "savez", over)
    refused(make(), "Cannot write a checkpoint into .*quota exceeded")


@pytest.mark.parametrize("damage", ["truncated", "zeroed", "flipped", "empty", "gone member", "renamed"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(whole, make, tmp_path, damage, capsys):
    from tfvae.training.fit import _compiled

    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for path in (whole / "checkpoints").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    newest = folder / "000000010.npz"
    content = newest.read_bytes()
    with np.load(newest, allow_pickle=False) as archive:
        fewer = {name: archive[name] for name in archive.files if name != "0003"}
    if damage == "gone member":
        np.savez(newest, **fewer)
    elif damage == "renamed":
        newest = newest.rename(folder / "000000011.npz")
    else:
        half = len(content) // 2
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        changed = {"truncated": content[:half], "zeroed": bytes(len(content)), "flipped": flipped, "empty": b""}
        newest.write_bytes(changed[damage])
    vae = _compiled(make(), (8, 8, 3), 5)
    assert checkpoints.restore(vae, folder) == 5
    said = capsys.readouterr().out
    assert f"{newest} is damaged (" in said and "): using the checkpoint before it.\n" in said and "Error" not in said
    checkpoints.set_aside_after(folder, 5)
    checkpoints.save(vae, folder, 7)
    assert {path.name for path in folder.glob("*.npz")} == {"000000005.npz", "000000007.npz"}


def test_of_the_oldest_checkpoint_nothing_is_said_to_be_before_it(whole, make, tmp_path, capsys):
    from tfvae.training.fit import _compiled

    for step in (5, 10):
        (tmp_path / f"{step:09d}.npz").write_bytes(b"")
    with pytest.raises(config.UserError, match="holds no readable checkpoint"):
        checkpoints.restore(_compiled(make(), (8, 8, 3), 5), tmp_path)
    newest, oldest = capsys.readouterr().out.splitlines()
    assert "using the checkpoint before it" in newest and "there is none before it" in oldest


def test_every_flipped_bit_of_a_checkpoint_is_noticed_or_changes_nothing(whole, make):
    content = bytearray(max((whole / "checkpoints").iterdir()).read_bytes())
    path = whole.parent / "flipped" / "000000010.npz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    expected = checkpoints._read(path, 10)
    random = np.random.default_rng(0)
    places_of_headers = list(range(0, 400)) + list(range(len(content) - 400, len(content)))
    for at in [*random.integers(0, len(content), 150), *random.choice(places_of_headers, 100)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        try:
            found = checkpoints._read(path, 10)
        except Exception:
            continue
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)), at
