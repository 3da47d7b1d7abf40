"""A messy folder: strange names, loops, what cannot be read, and images that vanish while training."""

import os
import pathlib
import shutil
import sys

import image_files
import numpy as np
import places
import pytest
from compared import contents

from tfvae import commandline, config, data, reconstruct, serving, training
from tfvae.training import callbacks

NAMES = [
    b"with space.png",
    b"quote'\".png",
    b"new\nline.png",
    b"not-utf-8-\xff\xfe.png",
    b"\xf0\x9f\x98\x80.png",
    b"-.png",
]
NAMES += [b"$(touch owned).png", b"%s%n.png", b"a" * 200 + b".png", b"tab\t.png", b";rm -rf.png", b"back\\slash.png"]


@pytest.fixture
def messy(tmp_path):
    """A folder with an image under each of `NAMES`, and what looks like images and is none."""
    folder = tmp_path / "messy"
    (folder / "below").mkdir(parents=True)
    for name in NAMES:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(image_files.FILES["rgb.png"])
    for number in range(5):
        (folder / f"{number}.png").write_bytes(image_files.FILES["rgba.png"])
    (folder / "below" / "loop").symlink_to(folder)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "nowhere.png").symlink_to("missing.png")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "new\nlines.png").write_bytes(b"no image")
    (folder / "wrong.jpg").write_bytes(image_files.FILES["rgb.png"])
    return folder


def settings_for(folder, **others):
    return config.DataConfig(data=str(folder), image_size=8, batch_size=2, data_dir=f"{folder}-data", **others)


def load(settings):
    """Returns (the data, the warnings' lines)."""
    with pytest.warns(UserWarning) as warned:
        loaded = data.load(settings)
    lines = [str(warning.message) for warning in warned]
    assert not any("\n" in line for line in lines)
    return loaded, lines


@pytest.mark.parametrize("cache", ["memory", "none", "disk"])
def test_every_image_of_a_messy_folder_arrives_and_what_is_none_is_named(messy, cache):
    loaded, lines = load(settings_for(messy, cache=cache))
    found = {os.fsencode(name) for names in loaded.names.values() for name in names}
    assert found == {*NAMES, *(b"%d.png" % number for number in range(5)), b"wrong.jpg"}
    assert lines == [r"1 of 19 images cannot be decoded (or exceed --max_pixels): new\nlines.png; they are left out."]
    left_out = " ".join(loaded.report.left_out)
    assert "folders, pipes and links that cannot be read (3): loop.png, nowhere.png, pipe.png" in left_out
    assert "links to what is there already (1): below/loop" in left_out
    assert not pathlib.Path("owned").exists()


def test_a_run_of_a_messy_folder_is_recorded_and_continued(messy, tmp_path, no_export):
    folders = {name: str(tmp_path / name) for name in ("runs_dir", "export_dir", "data_dir")}
    tiny = {"image_size": 8, "width": 4, "latent_dim": 2, "epochs": 1, "batch_size": 2, "jit": False}
    settings = config.TrainConfig(data=str(messy), name="run", **tiny, **folders)
    with pytest.warns(UserWarning):
        training.fit(settings)
    (tmp_path / "runs_dir" / "run" / "test.json").unlink()
    before = contents(tmp_path / "runs_dir" / "run")
    with pytest.warns(UserWarning):
        training.fit(config.TrainConfig(**{**vars(settings), "resume": True}))
    assert contents(tmp_path / "runs_dir" / "run") == before


def test_a_folder_that_may_not_be_read_is_named(messy, tmp_path):
    (messy / "secret").mkdir()
    (messy / "secret" / "one.png").write_bytes(image_files.FILES["rgb.png"])
    (messy / "secret").chmod(0)
    (messy / "private.png").write_bytes(image_files.FILES["rgb.png"])
    (messy / "private.png").chmod(0)
    parents = [path for path in messy.parents if path.is_relative_to(pathlib.Path("/tmp"))]
    with _reachable(parents), places.another_user():
        loaded, lines = load(settings_for(messy))
        left_out = " ".join(loaded.report.left_out)
        assert "that cannot be read (4): loop.png, nowhere.png, pipe.png, secret" in left_out
        assert any("private.png" in line for line in lines)
        with pytest.raises(config.UserError, match="cannot be read: loop.png, nowhere.png, pipe.png, secret"):
            data.load(settings_for(messy, strict=True))
    messy.chmod(0)
    with _reachable(parents), places.another_user():
        with pytest.raises(config.UserError, match="no permission to read this folder"):
            data.load(settings_for(messy))
        with pytest.raises(config.UserError, match="Permission denied|no permission|must be avatars"):
            data.load(settings_for(messy / "below"))
    messy.chmod(0o755)


class _reachable:
    """Lets other users into folders within the block."""

    def __init__(self, folders):
        self._folders = folders

    def __enter__(self):
        self._modes = [folder.stat().st_mode & 0o7777 for folder in self._folders]
        for folder, mode in zip(self._folders, self._modes, strict=True):
            folder.chmod(mode | 0o055)

    def __exit__(self, *_):
        for folder, mode in zip(self._folders, self._modes, strict=True):
            folder.chmod(mode)


@pytest.mark.parametrize("change", ["gone", "damaged"])
def test_images_that_vanish_while_training_are_one_line_and_the_run_continues(
    make, images, whole, tmp_path, monkeypatch, no_export, change
):
    folder = tmp_path / "vanishing"
    shutil.copytree(images, folder)
    settings = make(data=str(folder), cache="none")
    original = callbacks.Progress.on_epoch_end

    def vanish(self, epoch, logs=None):
        original(self, epoch, logs)
        for path in folder.iterdir():
            path.unlink() if change == "gone" else path.write_bytes(b"")

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Progress, "on_epoch_end", vanish)
        with pytest.raises(
            config.UserError, match=r"an image cannot be read any more \(\w+: .*--resume --name=run goes on"
        ) as error:
            training.fit(settings)
    assert "\n" not in str(error.value)
    if change == "damaged":
        return
    assert f"{folder}{os.sep}" in str(error.value)  # The image is named.
    for path in images.iterdir():
        shutil.copy(path, folder)
    training.fit(make(data=str(folder), resume=True))
    assert contents(tmp_path / "runs_dir" / "run") == contents(whole)


def test_images_that_vanish_before_the_run_continues_are_one_line(make, images, tmp_path, monkeypatch, no_export):
    folder = tmp_path / "vanishing"
    shutil.copytree(images, folder)
    training.fit(make(data=str(folder), epochs=1))
    (tmp_path / "runs_dir" / "run" / "test.json").unlink()
    (folder / "3.png").unlink()
    with pytest.raises(config.UserError, match="was started with other images"):
        training.fit(make(data=str(folder), epochs=1, resume=True))


def test_a_damaged_store_on_disk_is_made_anew(images, tmp_path, capsys):
    settings = settings_for(images, cache="disk")
    settings = config.DataConfig(**{**vars(settings), "data_dir": str(tmp_path)})
    before = data.load(settings).images("train")
    (kept,) = (tmp_path / "tfvae_cache").iterdir()
    for name in ("images.npy", "facts.npz"):
        (kept / name).write_bytes((kept / name).read_bytes()[:-20])
        np.testing.assert_array_equal(data.load(settings).images("train"), before)
        assert "): the images are read again" in capsys.readouterr().out


def test_a_command_takes_a_file_of_any_name(tmp_path, monkeypatch, capsys):
    class Served:
        path, image_shape = tmp_path, (8, 8, 3)

        def read(self, path):
            raise config.UserError(f"{path}: no image.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving, "open_export", lambda settings: Served())
    for name in NAMES:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
        monkeypatch.setattr(sys, "argv", ["reconstruct", "--", os.fsdecode(name)])
        with pytest.raises(SystemExit) as ended:
            commandline.run(config.ReconstructConfig, reconstruct.main, (0, None))
        assert ended.value.code.startswith("error: ") and ended.value.code.endswith(": no image.")
        assert ended.value.code.isprintable()
