"""Where a training step's time goes: its operations, and its convolutions alone, on one thread and on two.

    python benchmarks/training_profile.py --peers=peers/bin/python --output=results

First, how long a step takes, the share of that in which the cores are busy, and its optimizer alone. The operations are
those of XLA's profile of the default step, summed by kind: milliseconds of all threads. XLA starts a convolution and
goes on, so of those the profile holds little more than the start: each is timed by itself, as the default network has
it at batch size 5, beside the same convolution in PyTorch (oneDNN, channels last).
"""

import collections
import dataclasses
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import results
from peers import check
from training_convolutions import BATCH_SIZE, PARTS, SHAPES, milliseconds

from tfvae import commandline, config

STEPS = 40


@dataclasses.dataclass(frozen=True)
class ProfileConfig(config.Settings):
    """`python benchmarks/training_profile.py`."""

    peers: str = config.option("", "Python of the environment with torch; empty: without it.")
    output: str = config.option("results", "Folder for training_profile.json.")
    overwrite: bool = config.option(False, "Replace results that are there.")


def default_training():
    """Returns (the default model, a function that runs a number of its steps), compiled."""
    import tensorflow as tf
    import training_ours

    vae = training_ours.fit._compiled(config.TrainConfig(batch_size=BATCH_SIZE), (60, 60, 3), 2000)
    vae.make_train_function()
    batch = (training_ours._images(BATCH_SIZE), tf.ones(BATCH_SIZE))
    steps = training_ours._stepper(vae.train_function, batch, vae.steps_per_execution, vae.recent_losses.numpy)
    steps(2 * vae.steps_per_execution)
    return vae, steps


def whole_step(vae, steps):
    """Returns how long a step takes, how busy the cores are in it, and what of it the optimizer is.

    The optimizer, Adam with the averages, is compiled alone. For each weight it reads the gradient, reads and writes
    the weight, both moments and the average: nine numbers of four bytes.
    """
    import tensorflow as tf

    wall, busy = time.perf_counter(), time.process_time()
    steps(STEPS)
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    gradients = [tf.zeros_like(variable) for variable in vae.trainable_variables]

    @tf.function(jit_compile=True)
    def update():
        vae.optimizer.apply(gradients, vae.trainable_variables)
        vae._update_averages(tf.cast(vae.optimizer.iterations, tf.float32))

    def wait():
        update()
        return vae.averages[-1].numpy()

    return {
        "step_ms": 1000 * wall / STEPS,
        "busy_share": busy / wall / os.cpu_count(),
        "optimizer_ms": milliseconds(wait),
        "optimizer_megabytes": 9 * 4e-6 * sum(math.prod(variable.shape) for variable in vae.trainable_variables),
    }


def operations(steps):
    """Returns {kind of operation: (milliseconds a step, how many a step)} of the default training step."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, tf.profiler.experimental.ProfilerOptions(host_tracer_level=3))
        steps(STEPS)
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace.FromString(next(pathlib.Path(folder).rglob("*.xplane.pb")).read_bytes())
    found = collections.defaultdict(lambda: [0.0, 0.0])
    for plane in space.planes:
        for event in (event for line in plane.lines if "Eigen" in line.name for event in line.events):
            kind = re.sub(r"[._\d]+$", "", plane.event_metadata[event.metadata_id].name)
            if "::" not in kind and not kind.startswith("end:"):
                found[kind][0] += event.duration_ps / 1e9 / STEPS
                found[kind][1] += 1 / STEPS
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def asked(python, way, threads):
    """Returns what another process finds: threads can be chosen only once in each."""
    script = pathlib.Path(__file__).with_name("training_convolutions.py")
    command = [python, script, way, str(threads)]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise config.UserError(f"{python} {script.name}: {(answer.stderr.splitlines() or ['failed'])[-1]}")
    return json.loads(answer.stdout.splitlines()[-1])


def as_text(whole, kinds, columns):
    lines = [
        f"A step takes {whole['step_ms']:.1f} ms, in which the cores are busy for {whole['busy_share']:.0%}; the "
        f"optimizer alone takes {whole['optimizer_ms']:.1f} ms, for {whole['optimizer_megabytes']:.0f} MB that it "
        "reads and writes.",
        "",
    ]
    lines += ["| operations | ms a step, all threads | a step |", "|---|---|---|"]
    lines += [f"| {kind} | {spent:.2f} | {count:.0f} |" for kind, (spent, count) in list(kinds.items())[:12]]
    lines += ["", f"| convolution, ms | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for size, channels in SHAPES:
        for part in PARTS:
            values = (f"{column[f'{size} {channels} {part}']:.2f}" for column in columns.values())
            name = part if part == "forward" else f"gradient {part}"
            lines.append(f"| {size} x {size} x {channels}, {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def main(settings, _):
    if settings.peers:
        check(settings.peers, "torch")
    output = results.folder(settings, "training_profile.json")
    pythons = {("XLA", "xla"): sys.executable, ("PyTorch", "pytorch"): settings.peers}
    columns = {
        f"{name}, {threads} thread{'s' * (threads > 1)}": asked(python, way, threads)
        for (name, way), python in pythons.items()
        if python
        for threads in (1, 2)
    }
    vae, steps = default_training()
    whole, kinds = whole_step(vae, steps), operations(steps)
    print(as_text(whole, kinds, columns))
    found = {"step": whole, "operations": kinds, "convolutions": columns}
    (output / "training_profile.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    commandline.run(ProfileConfig, main)
