"""How fast an export answers, and starts: `python benchmarks/inference.py --model=M --peers=PEERS/bin/python`.

The peers live in another environment, for they are no dependency of the package:

    python3 -m venv PEERS
    PEERS/bin/pip install torch==2.13.0 pythae==0.1.2 pillow

An export's `generate`, `encode` and `reconstruct`, called through `tfvae.serving.Served` (NumPy in, NumPy out), beside
pythae's VAE with its stock convolutional encoder and decoder (those for 64 x 64 RGB) and its `NormalSampler` (tensors
in and out, under `inference_mode`). The networks are not the same: the number of weights is in the table.

All are measured in turn, --rounds times over, in this one run; a number is the median over the rounds, with the least
and the most. `start` is the time from the start of a process to its end, the program's files in the operating system's
cache: `python -m tfvae.generate` of 64 images and of one beside a process that imports TensorFlow and loads the same
SavedModel; pythae from the start to 64 images in files; and `--help` of each command.
"""

import dataclasses
import datetime
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import results
from peers import Peer, check

from tfvae import commandline, config

TASKS = ("generate", "encode", "reconstruct")
BATCHES = (1, 32, 256)
COMMANDS = ("train", "generate", "reconstruct", "interpolate", "evaluate", "export", "client")
LOAD = "import sys, tensorflow as tf; tf.saved_model.load(sys.argv[1])"


@dataclasses.dataclass(frozen=True)
class InferenceConfig(config.ServedConfig):
    """`python benchmarks/inference.py`."""

    peers: str = config.option("", "Python of the environment with pythae; empty: without it.")
    output: str = config.option("benchmark-inference", "Folder for inference.json, inference.md and inference.png.")
    seconds: float = config.option(1.0, "How long each measurement lasts, at least.", above=0.0)
    rounds: int = config.option(5, "Times that everything is measured.", at_least=1)
    quick: bool = config.option(False, "A minute instead of some: fewer and shorter rounds. For a look, not a table.")


class Ours:
    """The export: seconds of each call."""

    def __init__(self, version):
        import numpy as np

        from tfvae import serving

        served, random = serving.Served(version), np.random.default_rng(0)
        self._images = random.random((max(BATCHES), *served.image_shape), np.float32)
        self._seeds = serving.seeds(0, 0, max(BATCHES))
        self._calls = {
            "generate": lambda count: served.generate(self._seeds[:count], 0.8),
            "encode": lambda count: served.encode(self._images[:count]),
            "reconstruct": lambda count: served.reconstruct(self._images[:count]),
        }

    def __call__(self, task, batch, seconds):
        call, times = self._calls[task], []
        call(1)
        while not times or sum(times) < seconds:
            start = time.perf_counter()
            call(batch)
            times.append(time.perf_counter() - start)
        return times


class Pythae:
    """The process that runs `inference_peer.py`."""

    script = str(pathlib.Path(__file__).with_name("inference_peer.py"))

    def __init__(self, python):
        self._peer = Peer([python, self.script], "--peers: pythae failed there; see above.")
        self.weights = self._peer.read()["weights"]
        self.close = self._peer.close

    def __call__(self, task, batch, seconds):
        return self._peer.ask(task=task, batch=batch, seconds=seconds)


def seconds_of(command):
    """Returns how long a process took; its last line is the reason where it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    took = time.perf_counter() - start
    if done.returncode:
        raise config.UserError(f"{' '.join(command)}: {(done.stdout.splitlines() or ['failed'])[-1]}")
    return took


def starts(version, peers, folder):
    """Returns {what starts: function that returns the seconds it took}."""
    python, model = sys.executable, str(version)

    def generate(count):
        output = ["--overwrite", f"--output={folder}/samples.png"]
        return [python, "-m", "tfvae.generate", f"--model={model}", f"--num_images={count}", *output]

    commands = {
        "import tensorflow, load the SavedModel": [python, "-c", LOAD, model],
        "tfvae.generate, 64 images": generate(64),
        "tfvae.generate, 1 image": generate(1),
    }
    if peers:
        commands["pythae, 64 images"] = [peers, Pythae.script, "--first", folder, "64"]
    for name in COMMANDS:
        commands[f"tfvae.{name} --help"] = [python, "-m", f"tfvae.{name}", "--help"]
    return {name: functools.partial(seconds_of, command) for name, command in commands.items()}


def spread(values):
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def table(calls, started, weights, settings):
    """Returns the tables as Markdown.

    Args:
        calls: {(task, batch, who): [seconds of a call, the median of each round]}.
        started: {what: [seconds of each round]}.
        weights: {who: number of weights}.
        settings: The `InferenceConfig`.
    """
    who = ", ".join(f"{name} {count:,} weights" for name, count in weights.items())
    lines = [f"{datetime.date.today()}, {os.cpu_count()} cores ({processor()}), {settings.rounds} rounds; {who}.", ""]
    lines += [
        "| call | batch | who | ms: median (least to most) | images/s | against pythae |",
        "|---|---|---|---|---|---|",
    ]
    for (task, batch, name), times in calls.items():
        median, other = statistics.median(times), calls.get((task, batch, "pythae"))
        ratio = f"{statistics.median(other) / median:.2f} x" if other and name == "tfvae" else ""
        milliseconds = spread([1000 * one for one in times])
        lines.append(f"| {task} | {batch} | {name} | {milliseconds} | {batch / median:,.0f} | {ratio} |")
    base = statistics.median(next(iter(started.values())))
    lines += ["", "| start | s: median (least to most) | of import and load |", "|---|---|---|"]
    for name, times in started.items():
        ratio = "" if "--help" in name else f"{statistics.median(times) / base:.2f} x"
        lines.append(f"| {name} | {spread(times)} | {ratio} |")
    return "\n".join(lines) + "\n"


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def picture(calls, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, all_axes = pyplot.subplots(1, len(TASKS), figsize=(10, 3.2), layout="constrained", sharey=True)
    for axes, task in zip(all_axes, TASKS, strict=True):
        for name in dict.fromkeys(key[2] for key in calls):
            rates = [batch / statistics.median(calls[task, batch, name]) for batch in BATCHES]
            axes.loglog(BATCHES, rates, "o-", label=name)
        axes.set(title=task, xlabel="images in a call", xticks=BATCHES, xticklabels=BATCHES)
    all_axes[0].set_ylabel("images/s")
    all_axes[0].legend()
    figure.savefig(path, dpi=120)


def weights_of(version):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(version))
    variables = {id(one): one for name in TASKS for one in loaded.signatures[name].variables}
    return sum(int(tf.size(one)) for one in variables.values() if one.dtype.is_floating)


def main(settings, _):
    from tfvae import serving

    if settings.quick:
        settings = dataclasses.replace(settings, seconds=0.2, rounds=2)
    version = serving.find(settings.model, settings.export_dir)
    if settings.peers:
        check(settings.peers, "torch", "pythae")
    output = results.folder(settings, "inference.json")
    models, weights = {"tfvae": Ours(version)}, {"tfvae": weights_of(version)}
    if settings.peers:
        models["pythae"] = Pythae(settings.peers)
        weights["pythae"] = models["pythae"].weights
    calls = {(task, batch, name): [] for task in TASKS for batch in BATCHES for name in models}
    with tempfile.TemporaryDirectory() as folder:
        ways = starts(version, settings.peers, folder)
        started = {name: [] for name in ways}
        for number in range(settings.rounds + 1):  # The first is not counted: files are not in memory yet.
            for (task, batch, name), found in calls.items():
                found.append(statistics.median(models[name](task, batch, settings.seconds)))
                print(f"round {number}: {task} {batch}, {name}: {found[-1]:.4f} s", flush=True)
            for name, measure in ways.items():
                started[name].append(measure())
                print(f"round {number}: {name}: {started[name][-1]:.2f} s", flush=True)
            if not number:
                for found in (*calls.values(), *started.values()):
                    found.clear()
    if settings.peers:
        models["pythae"].close()
    text = table(calls, started, weights, settings)
    (output / "inference.md").write_text(text)
    rows = [{"task": key[0], "batch": key[1], "who": key[2], "seconds": found} for key, found in calls.items()]
    raw = {"settings": dataclasses.asdict(settings), "calls": rows, "start": started, "weights": weights}
    (output / "inference.json").write_text(json.dumps(raw, indent=1) + "\n")
    picture(calls, output / "inference.png")
    print(text)


if __name__ == "__main__":
    commandline.run(InferenceConfig, main)
