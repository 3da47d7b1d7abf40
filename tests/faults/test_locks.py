"""Two runs into one folder: the second refuses; and what a process that is gone has left is removed."""

import errno
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from compared import contents

from tfvae import config, locks, pictures, training
from tfvae.training import runs

ROOT = pathlib.Path(__file__).parent.parent.parent
HOLD = """if True:
    import pathlib, sys, time
    from tfvae import locks
    with locks.held(pathlib.Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(600)
"""


def test_a_second_run_into_one_folder_is_refused_and_does_no_harm(make, tmp_path):
    settings = make()
    folder = runs.folder_of(settings)
    with runs.locked(folder):
        runs.start(settings, folder)
        before = {path: path.read_bytes() for path in folder.iterdir()}
        for resume in (False, True):
            with pytest.raises(
                config.UserError, match=rf"{folder}: process \d+ on .* is training there: wait"
            ) as error:
                training.fit(make(resume=resume))
            assert "\n" not in str(error.value)
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_lock_ends_with_the_process_that_held_it(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(locks.Held, match=f"process {child.pid} on "):
        with locks.held(tmp_path / "lock"):
            pass
    child.kill()
    child.communicate()
    with locks.held(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


def test_one_who_waits_gets_the_lock_when_it_is_free(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, cwd=ROOT)
    child.stdout.readline()
    told = []

    def wait(holder):
        told.append(holder)
        child.kill()

    with locks.held(tmp_path / "lock", wait):
        assert told[0].startswith(f"process {child.pid} ")
    child.communicate()


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, monkeypatch):
    def fail_with(number):
        def flock(descriptor, kind):
            raise OSError(number, "not supported")

        monkeypatch.setattr("fcntl.flock", flock)

    for number in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
        fail_with(number)
        with locks.held(tmp_path / "lock"), locks.held(tmp_path / "lock"), locks.folder_held(tmp_path / "new"):
            pass
    fail_with(errno.EIO)
    with pytest.raises(OSError, match="not supported"), locks.held(tmp_path / "lock"):
        pass


WITHOUT = """if True:
    import errno, os, pathlib, sys
    sys.modules["fcntl"] = None
    for name in ("pread", "pwrite", "preadv", "pwritev", "O_NONBLOCK"):
        delattr(os, name)
    open_ = os.open
    def open_file(path, flags, *rest, **more):  # Windows opens no folders.
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return open_(path, flags, *rest, **more)
    os.open = open_file
    from tfvae import files, locks
    folder = pathlib.Path(sys.argv[1])
    with locks.held(folder / "lock"):
        try:
            with locks.held(folder / "lock"):
                raise AssertionError
        except locks.Held as holder:
            print(holder)
    (folder / "writing-999999999").mkdir()
    (folder / f"writing-{os.getpid()}").mkdir()
    with locks.folder_held(folder / f"writing-{os.getpid()}"):
        locks.remove_leftovers(folder, r"writing-(?P<process>\\d+)")
    files.write(folder / "text", "text")
    files.append(folder / "text", "more")
    files.flush(folder)
    files.write_arrays(folder / "arrays.npz", {"a": [1, 2]})
    assert files.read_arrays(folder / "arrays.npz")["a"].tolist() == [1, 2]
    print(*sorted(path.name for path in folder.iterdir()), os.getpid())
"""


def test_locks_and_files_need_nothing_that_windows_lacks(tmp_path):
    lines = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    *left, process = lines[1].split()
    assert lines[0].startswith(f"process {process} on ")
    assert set(left) - {"lock"} == {"arrays.npz", "text", f"writing-{process}"}
    assert (tmp_path / "text").read_text() == "textmore"


def test_leftovers_go_only_where_their_process_is_gone_and_nobody_holds_them(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone, running = child.pid, 1
    for name in (f"writing-{gone}", f"held-{gone}", f"writing-{running}"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / f"link-{gone}").symlink_to(tmp_path / "mine")
    (tmp_path / f"file-{gone}").touch()
    with locks.folder_held(tmp_path / f"held-{gone}"):
        locks.remove_leftovers(tmp_path, r"(writing|held|link|file)-(?P<process>\d+)")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"held-{gone}", f"writing-{running}", "mine", f"link-{gone}"}
    locks.remove_leftovers(tmp_path / "missing", r"(?P<process>\d+)")


def test_a_picture_leaves_what_others_have_called_alike(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    (tmp_path / f"writing-{child.pid}").mkdir()
    (tmp_path / f"writing-{child.pid}" / "novel").touch()
    (tmp_path / f".tfvae-writing-{child.pid}").touch()
    pictures.save(np.zeros((8, 8, 3), np.uint8), tmp_path / "picture.png")
    assert {path.name for path in tmp_path.iterdir()} == {f"writing-{child.pid}", "picture.png"}
    assert (tmp_path / f"writing-{child.pid}" / "novel").exists()


def test_a_start_that_was_killed_or_failed_leaves_the_name_free(make, images, tmp_path, no_export):
    folder = tmp_path / "runs_dir" / "run"
    folder.mkdir(parents=True)
    for name in ("lock", ".tfvae-writing-123"):
        (folder / name).touch()
    with pytest.raises(config.UserError, match="expected at least one batch"):
        training.fit(make(batch_size=100))
    assert not folder.exists()
    training.fit(make(epochs=1))
    assert (folder / "test.json").exists() and not (folder / ".tfvae-writing-123").exists()


def test_a_run_without_a_checkpoint_continues_from_its_first_step(make, whole, no_export):
    settings = make()
    folder = runs.folder_of(settings)
    with runs.locked(folder):
        runs.start(settings, folder)
    training.fit(make(resume=True))
    assert contents(folder) == contents(whole)
