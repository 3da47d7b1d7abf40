"""Where a training step's time goes: its operations, and its convolutions alone, on one thread and on two.

    python benchmarks/training_profile.py --peers=peers/bin/python --output=results

The operations are those of XLA's profile of the default step, summed by kind: milliseconds of all threads. XLA starts a
convolution and goes on, so of those the profile holds little more than the start: each is timed by itself, as the
default network has it at batch size 5, beside the same convolution in PyTorch (oneDNN, channels last).
"""

import argparse
import collections
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

BATCH_SIZE = 5
SHAPES = ((15, 64), (8, 96))  # Height and width, and channels, of the residual blocks.
PARTS = ("forward", "of images", "of kernels")  # A convolution, and the two gradients of it.
STEPS, CALLS, ROUNDS = 40, 60, 5


def operations():
    """Returns {kind of operation: (milliseconds a step, how many a step)} of the default training step."""
    import tensorflow as tf
    import training_ours
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    from tfvae import config

    vae = training_ours.fit._compiled(config.TrainConfig(batch_size=BATCH_SIZE), (60, 60, 3), 2000)
    vae.make_train_function()
    batch = (training_ours._images(BATCH_SIZE), tf.ones(BATCH_SIZE))
    steps = training_ours._stepper(vae.train_function, batch, vae.steps_per_execution, vae.recent_losses.numpy)
    steps(2 * vae.steps_per_execution)
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


def milliseconds(call):
    """Returns the median of what `call()` takes; it returns when its result is there."""
    for _ in range(3):
        call()
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - start) / CALLS)
    return 1000 * statistics.median(rounds)


def with_xla(threads):
    """Returns {"H x H x C part": milliseconds} of convolutions that XLA has compiled, less what an empty call takes."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)

    def time_of(function, *arguments):
        compiled = tf.function(function, jit_compile=True)
        return milliseconds(lambda: compiled(*arguments).numpy())

    def of_kernels(x, gradient):
        shape = [3, 3, x.shape[-1], gradient.shape[-1]]
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=shape, out_backprop=gradient, strides=[1, 1, 1, 1], padding="SAME"
        )

    found = {}
    for size, channels in SHAPES:
        x, gradient = (tf.random.normal((BATCH_SIZE, size, size, channels)) for _ in range(2))
        kernel = tf.random.normal((3, 3, channels, channels))
        empty_image, empty_kernel = (time_of(lambda x: x + 1.0, value) for value in (x, kernel))
        found[f"{size} {channels} forward"] = (
            time_of(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), x, kernel) - empty_image
        )
        found[f"{size} {channels} of images"] = (
            time_of(
                lambda g, k: tf.nn.conv2d(g, tf.transpose(k[::-1, ::-1], [0, 1, 3, 2]), 1, "SAME"), gradient, kernel
            )
            - empty_image
        )
        found[f"{size} {channels} of kernels"] = time_of(of_kernels, x, gradient) - empty_kernel
    return found


def with_pytorch(threads):
    """Returns the same of PyTorch's convolutions."""
    import torch

    torch.set_num_threads(threads)
    found = {}
    for size, channels in SHAPES:
        x, gradient, kernel = (
            torch.randn(shape).contiguous(memory_format=torch.channels_last)
            for shape in (*[(BATCH_SIZE, channels, size, size)] * 2, (channels, channels, 3, 3))
        )
        for part, wanted in zip(PARTS, (None, (True, False, False), (False, True, False)), strict=True):

            def call(x=x, gradient=gradient, kernel=kernel, wanted=wanted):
                if wanted is None:
                    return torch.nn.functional.conv2d(x, kernel, padding=1)
                return torch.ops.aten.convolution_backward(
                    gradient, x, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted
                )

            found[f"{size} {channels} {part}"] = milliseconds(call)
    return found


def asked(python, way, threads):
    """Returns what another process finds: threads can be chosen only once in each."""
    command = [python, __file__, f"--way={way}", f"--threads={threads}"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def as_text(kinds, columns):
    lines = ["| operations | ms a step, all threads | a step |", "|---|---|---|"]
    lines += [f"| {kind} | {spent:.2f} | {count:.0f} |" for kind, (spent, count) in list(kinds.items())[:12]]
    lines += ["", f"| convolution, ms | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for size, channels in SHAPES:
        for part in PARTS:
            values = (f"{column[f'{size} {channels} {part}']:.2f}" for column in columns.values())
            name = part if part == "forward" else f"gradient {part}"
            lines.append(f"| {size} x {size} x {channels}, {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="Python of the environment of the peers; without it, no PyTorch")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("results"), help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument("--way", choices=("xla", "pytorch"), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps((with_xla if options.way == "xla" else with_pytorch)(options.threads)))
        return
    path = options.output / "training_profile.json"
    if path.exists() and not options.overwrite:
        sys.exit(f"--output: {path} exists; name another folder or add --overwrite.")
    columns = {f"XLA, {n} thread{'s' * (n > 1)}": asked(sys.executable, "xla", n) for n in (1, 2)}
    if options.peers:
        columns |= {f"PyTorch, {n} thread{'s' * (n > 1)}": asked(options.peers, "pytorch", n) for n in (1, 2)}
    kinds = operations()
    print(as_text(kinds, columns))
    options.output.mkdir(parents=True, exist_ok=True)
    found = {"operations": kinds, "convolutions": columns}
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
