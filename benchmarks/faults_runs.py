"""Trainings that are killed and continued, and the memory of a long one: for `faults.py`."""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).parent.parent
_IMAGES = 236  # In the archive, of which 191 to train on: 96 batches of two, so that eight steps run at a time.
_EPOCHS = 3
_CHECKPOINT_MINUTES = 0.02
# What is waited for before a kill that is aimed: a pattern of a path below the place of the run.
_AIMS = {
    "while TFDS prepares": "data/**/incomplete.*",
    "in the first compilation": "runs/smoke/data.json",
    "while a checkpoint is written": "runs/smoke/checkpoints/.tfvae-writing-*",
    "while the export is written": "saved_models/smoke/.tfvae-writing-*",
}


def make_archive(folder):
    """Writes `_IMAGES` images of 24 x 24 in the layout of the Cartoon Set, so that TFDS has something to prepare."""
    from PIL import Image

    from tfvae.data import cartoonset

    pixels = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(_IMAGES):
        image = Image.fromarray(pixels.integers(0, 256, (4, 4, 4), dtype=np.uint8)).resize((24, 24))
        image.save(folder / f"cs{number:019d}.png")
        lines = [f'"{name}", {number % count}, {count}\n' for name, count in cartoonset.ATTRIBUTES.items()]
        (folder / f"cs{number:019d}.csv").write_text("".join(lines))


def _command(place, archive, *more):
    flags = {"runs_dir": "runs", "export_dir": "saved_models", "data_dir": "data"}
    return [
        sys.executable, "-m", "tfvae.train", f"--flagfile={ROOT / 'flags' / 'smoke.cfg'}", "--data=cartoonset10k",
        f"--archive={archive}", f"--checkpoint_minutes={_CHECKPOINT_MINUTES}", f"--epochs={_EPOCHS}",
        *(f"--{name}={place / folder}" for name, folder in flags.items()), *more,
    ]  # fmt: skip


def _start(command, place):
    place.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    log = open(place / "log", "ab")
    return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def _lines(place):
    path = place / "runs" / "smoke" / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _newest(place):
    """Returns the path of the newest checkpoint, or None."""
    return max((place / "runs" / "smoke" / "checkpoints").glob("*.npz"), default=None)


def _phase(place):
    """Returns, from what a killed run has left, where it was."""
    run, export = place / "runs" / "smoke", place / "saved_models" / "smoke"
    if not (run / "flags.cfg").exists():
        return "before the run began"
    if (run / "test.json").exists():
        return "after the end"
    if not (run / "data.json").exists():
        return "while TFDS prepares" if any(place.glob(_AIMS["while TFDS prepares"])) else "while data are read"
    if any(export.glob(".tfvae-writing-*")):
        return "while the export is written"
    if any((run / "checkpoints").glob(".tfvae-writing-*")):
        return "while a checkpoint is written"
    if _lines(place) == _EPOCHS:
        return "after the last epoch, before the export"
    return f"in epoch {_lines(place) + 1}" if _newest(place) else "in the first compilation or steps"


def _last_written(place):
    """Returns when the newest checkpoint, else the record of the data, else the settings were written; None."""
    run = place / "runs" / "smoke"
    for path in (_newest(place), run / "data.json", run / "flags.cfg"):
        if path is not None and path.exists():
            return path.stat().st_mtime
    return None


def _result(place):
    """Returns what has to be equal: metrics.jsonl, and all arrays of the last checkpoint with its step."""
    newest = _newest(place)
    with np.load(newest, allow_pickle=False) as archive:
        arrays = {name: archive[name].tobytes() for name in archive.files}
    return (place / "runs" / "smoke" / "metrics.jsonl").read_bytes(), newest.name, arrays


def _kill(child, place, aim, delay):
    """Kills a training `delay` seconds after it began, or came to `aim`; returns False where it ended before."""
    pattern = _AIMS.get(aim, "runs/smoke/flags.cfg")
    while not any(place.glob(pattern)):
        if child.poll() is not None:
            return False
        time.sleep(0.001 if aim else 0.01)
    try:
        child.wait(timeout=delay)
        return False
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
        return True


def kills(number, seed, output):
    """Kills `number` trainings, each at another random moment, continues them, and compares.

    Returns:
        A list of {"moment", "happened", "equal", "repeated" (s)}; the first is the uninterrupted run.
    """
    base = output / "runs"
    shutil.rmtree(base, ignore_errors=True)
    archive, whole = base / "archive", base / "whole"
    make_archive(archive)
    child, began = _start(_command(whole, archive), whole), None
    while child.poll() is None:
        if began is None and (whole / "runs" / "smoke" / "flags.cfg").exists():
            began = time.monotonic()
        time.sleep(0.05)
    seconds, expected = time.monotonic() - began, _result(whole)
    print(f"kills: the uninterrupted run took {seconds:.1f} s from its first file on", flush=True)
    chance, rows = random.Random(seed), []
    aims = [*_AIMS, "while a checkpoint is written", "while the export is written"]
    for index in range(number):
        aim = aims[index] if index < min(len(aims), number // 2) else None
        short = 1.5 if aim in ("in the first compilation", "while the export is written") else 0.002
        place, delay = base / f"{index:02d}", chance.uniform(0, short if aim else seconds)
        while not _kill(_start(_command(place, archive), place), place, aim, delay):
            shutil.rmtree(place)  # It had ended: again, and earlier.
            delay *= 0.7
        ended, last = time.time(), _last_written(place)
        step = int(_newest(place).stem) if _newest(place) else 0
        row = {"moment": _phase(place), "aimed": aim is not None}
        again = ["--resume"] if (place / "runs" / "smoke" / "flags.cfg").exists() else []
        code = _start(_command(place, archive, *again), place).wait()
        left = [path.name for path in place.rglob("*") if re.search(r"\.tfvae-|incomplete\.", path.name)]
        said = ((place / "log").read_text(errors="replace").splitlines() or [""])[-1]
        if code == 0:
            row |= {"happened": f"went on from step {step}", "equal": _result(place) == expected and not left}
        elif " is finished;" in said:  # Killed when all was done and the process had not ended yet.
            row |= {"happened": "was finished, as --resume says", "equal": _result(place) == expected and not left}
        else:
            row |= {"happened": f"exit {code}: {said}"[:200], "equal": False}
        row["repeated"] = ended - last if last else 0.0
        rows.append(row)
        print(f"kills: {index + 1} of {number}: {row}", flush=True)
        if row["equal"]:
            shutil.rmtree(place)
    return rows


def memory(epochs, output):
    """Trains for `epochs` and reads the resident memory after each.

    Returns:
        {"epochs", "resident" (MB after each epoch), "peak" (MB, so far, after each), "slope" and "peak_slope"
        (MB an epoch, least squares, after the second epoch)}.
    """
    place = output / "memory"
    shutil.rmtree(place, ignore_errors=True)
    archive = place / "archive"
    make_archive(archive)
    child = _start([*_command(place, archive), f"--epochs={epochs}"], place)
    found = {}
    while child.poll() is None:
        epoch = _lines(place)
        if epoch not in found:
            status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
            found[epoch] = [int(re.search(rf"{kind}:\s+(\d+)", status)[1]) / 1024 for kind in ("VmRSS", "VmHWM")]
        time.sleep(0.02)
    if child.returncode:
        raise RuntimeError((place / "log").read_text(errors="replace")[-2000:])
    numbers = np.array(sorted(epoch for epoch in found if 2 <= epoch))
    resident, peak = np.array([found[epoch] for epoch in numbers]).T
    slopes = [float(np.polyfit(numbers, values, 1)[0]) for values in (resident, peak)]
    shutil.rmtree(place)
    return {
        "epochs": epochs,
        "resident": resident.tolist(),
        "peak": peak.tolist(),
        "slope": slopes[0],
        "peak_slope": slopes[1],
    }
