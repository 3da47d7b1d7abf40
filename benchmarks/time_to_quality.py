"""How long a model takes to become good: `python benchmarks/time_to_quality.py --peers=PEERS/bin/python`.

pythae lives in another environment, for it is no dependency of the package:

    python3 -m venv PEERS
    PEERS/bin/pip install torch==2.13.0 pythae==0.1.2

The default recipe of this package, with its averaged weights, beside (a) pythae's `VAE` with its stock convolutional
networks and its trainer, and (b) the VAE of keras.io's examples, scaled to the images; `time_to_quality_trainer.py`
says what of. All train on the avatars, 60 x 60, batch 5, and are measured every --every steps on the same test images,
with the clock stopped: the PSNR of reconstructions from posterior means, and the elbo that each has under one common
likelihood, a Gaussian with the best single sigma. A figure is said to be reached at the first of these evaluations that
has it. The clock runs from the first step, what a library compiles at its first step included.

A peer has --peer_minutes; this package --epochs of its 50. Minutes are those of a quiet machine: the seconds of the
first steps, and of a step after that, are measured first, model after model in turn, three rounds, the median; a
training's minutes are its steps times that. So calibrate on a quiet machine, with --only=calibrate, and train on a
busy one, with --only=MODEL, the models one after the other or at once; --only=report makes the table of what there is.
The minutes that really passed are in the table too.
"""

import contextlib
import dataclasses
import datetime
import json
import pathlib
import statistics
import sys
import tempfile

import results
import time_to_quality_report as report
from peers import Peer, check

from tfvae import commandline, config

MODELS = ("tfvae", "keras.io", "pythae")
FIRST, ROUNDS, STEPS, SECONDS = 8, 3, 200, 10.0  # Of the calibration; a round of slow steps ends by its seconds.


@dataclasses.dataclass(frozen=True)
class QualityConfig(config.Settings):
    """`python benchmarks/time_to_quality.py`."""

    peers: str = config.option("", "Python of the environment with pythae; empty: without it.")
    output: str = config.option("benchmark-time-to-quality", "Folder for time_to_quality.json, .md and .png.")
    overwrite: bool = config.option(False, "Replace results that are there.")
    every: int = config.option(400, "Steps between two evaluations.", at_least=8)
    epochs: float = config.option(4.0, "Passes over the training images, of this package.", above=0.0, at_most=50.0)
    peer_minutes: float = config.option(60.0, "What each peer trains, in minutes of a quiet machine.", above=0.0)
    only: str = config.option("", "One part: calibrate, a model's training, or report; empty: all.",
                              choices=("", "calibrate", *MODELS, "report"))  # fmt: skip


class Trainer:
    """The process that trains a model."""

    script = pathlib.Path(__file__).with_name("time_to_quality_trainer.py")

    def __init__(self, name, settings, output, task):
        self._scratch = tempfile.TemporaryDirectory()
        python = settings.peers if name == "pythae" else sys.executable
        command = [python, self.script, name, images(output), self._scratch.name]
        path = output / f"{task}_{name}.log"
        with open(path, "w", encoding="utf-8") as log:
            self._peer = Peer(command, f"{name} failed; {path} says why.", stderr=log)
        self.weights = self._peer.read()["weights"]

    def train(self, steps, seconds=1e9):
        """Returns {"steps", "seconds"}: what was taken, until one of both was reached."""
        return self._peer.ask(steps=steps, seconds=seconds)

    def quality(self):
        """Returns {"psnr", "elbo", "rate", "sigma"} on the test images."""
        return self._peer.ask()

    def close(self):
        self._peer.close()
        self._scratch.cleanup()


def images(output):
    """Returns the file of the training and test images, for all models."""
    path = output / "images.npz"
    if not path.exists():
        from tfvae import data, files

        loaded = data.load(config.TrainConfig())
        files.write_arrays(path, {split: loaded.images(split) for split in ("train", "test")})
    return path


def write(path, found):
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def calibrate(names, settings, output):
    """Measures what the first steps of each model, and a step after them, take; writes calibration.json each round."""
    trainers = {name: Trainer(name, settings, output, "calibrate") for name in names}
    first = {name: trainer.train(FIRST) for name, trainer in trainers.items()}
    rounds = {name: [] for name in names}
    for number in range(ROUNDS):
        for name, trainer in trainers.items():
            taken = trainer.train(STEPS, SECONDS)
            rounds[name].append(taken["seconds"] / taken["steps"])
            print(f"calibration {number + 1}: {name}: {1000 * rounds[name][-1]:.1f} ms a step", flush=True)
        found = {}
        for name in names:
            step = statistics.median(rounds[name])
            start = max(first[name]["seconds"] - first[name]["steps"] * step, 0.0)
            found[name] = {"start": start, "step": step, "rounds": rounds[name]}
        machine = f"{datetime.date.today()}, {report.machine()}"
        write(output / "calibration.json", {"machine": machine, "models": found})
    for trainer in trainers.values():
        trainer.close()


def train(name, settings, output):
    """Trains a model, and writes its evaluations to NAME.json after each."""
    speed = speeds(output)["models"].get(name)
    if not speed:
        raise config.UserError(f"{output / 'calibration.json'} lacks {name}; calibrate with it first.")
    with contextlib.closing(Trainer(name, settings, output, "train")) as trainer:
        steps, seconds, points = 0, 0.0, []
        while goes_on(name, settings, steps, (speed["start"] + steps * speed["step"]) / 60):
            taken = trainer.train(settings.every)
            steps, seconds = steps + taken["steps"], seconds + taken["seconds"]
            points.append({"steps": steps, "seconds": seconds, **trainer.quality()})
            write(output / f"{name}.json", {"weights": trainer.weights, "points": points})
            figures = f"{points[-1]['psnr']:.2f} dB, elbo {points[-1]['elbo']:,.0f}"
            print(f"{name}: {steps:,} steps, {seconds / 60:.1f} min: {figures}", flush=True)


def goes_on(name, settings, steps, minutes):
    if name == "tfvae":
        return steps < settings.epochs * 10_000 / config.TrainConfig().batch_size
    return minutes < settings.peer_minutes


def speeds(output):
    path = output / "calibration.json"
    if not path.exists():
        raise config.UserError(f"{path} is not there; --only=calibrate makes it.")
    return results.read(path)


def main(settings, _):
    if settings.only == "pythae" and not settings.peers:
        raise config.UserError("--only=pythae needs --peers.")
    if settings.peers:
        check(settings.peers, "torch", "pythae")
    if settings.only not in ("", "calibrate"):
        speeds(config.folder(settings.output, "--output"))
    names = MODELS if settings.peers else MODELS[:-1]
    parts = {"calibrate": "calibration.json", "report": "time_to_quality.json"}
    parts |= {name: f"{name}.json" for name in names}
    output = results.folder(settings, *(file for part, file in parts.items() if settings.only in ("", part)))
    if settings.only in ("", "calibrate"):
        calibrate(names, settings, output)
    for name in names:
        if settings.only in ("", name):
            train(name, settings, output)
    if settings.only in ("", "report"):
        report.write(output, speeds(output), MODELS)


if __name__ == "__main__":
    commandline.run(QualityConfig, main)
