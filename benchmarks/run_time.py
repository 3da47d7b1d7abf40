"""Where the time of a training goes: `python benchmarks/run_time.py --flagfile=flags/avatars.cfg --epochs=3`.

Takes the flags of `python -m tfvae.train`, trains as that does, and prints the seconds of each part: of its first call,
which may compile, and of a later one. --epochs=3 is enough: all epochs but the first do the same.
"""

import collections
import functools
import time

from tfvae import commandline, config

BEGAN = time.perf_counter()


def timed(owner, name, seconds):
    """Replaces the function `owner.name` by one that adds the seconds of each call to the list `seconds`."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def measured(*arguments, **words):
        began = time.perf_counter()
        try:
            return original(*arguments, **words)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(owner, name, measured)


def main(settings, _):
    from tfvae import VAE, data, evaluation, samplers, serving, training
    from tfvae.training import callbacks, checkpoints

    seconds = collections.defaultdict(list)
    seconds["imports"].append(time.perf_counter() - BEGAN)
    parts = {
        "images opened": (data, "load"),
        "all epochs": (VAE, "fit"),
        "validation": (VAE, "evaluate"),
        "records and pictures": (callbacks.Records, "on_epoch_end"),
        "checkpoint": (checkpoints, "save"),
        "test images measured": (evaluation, "measure"),
        "sampler fitted": (samplers, "make"),
        "export": (serving, "export"),
    }
    for part, (owner, name) in parts.items():
        timed(owner, name, seconds[part])
    first_steps(callbacks.Progress, seconds["first steps"])
    training.fit(settings)
    seconds["all"].append(time.perf_counter() - BEGAN)
    print("\n| part | calls | first, s | later, s each | in all, s |\n|---|---|---|---|---|")
    for part, taken in seconds.items():
        if not taken:  # The run was interrupted before.
            continue
        later = f"{sum(taken[1:]) / (len(taken) - 1):.2f}" if len(taken) > 1 else ""
        print(f"| {part} | {len(taken)} | {taken[0]:.2f} | {later} | {sum(taken):.1f} |")


def first_steps(progress, seconds):
    """Adds the seconds from the start of the training to the end of its first steps, which compile."""
    original, began = progress.on_train_batch_end, []

    def on_train_begin(self, logs=None):
        began.append(time.perf_counter())

    def on_train_batch_end(self, batch, logs=None):
        if not seconds:
            seconds.append(time.perf_counter() - began[0])
        original(self, batch, logs)

    progress.on_train_begin, progress.on_train_batch_end = on_train_begin, on_train_batch_end


if __name__ == "__main__":
    commandline.run(config.TrainConfig, main)
