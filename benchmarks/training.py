"""Images a second of our training step, of the same network in PyTorch and pythae, of keras.io's, and the limit.

    python -m venv peers && peers/bin/pip install torch==2.13.0 pythae==0.1.2
    python benchmarks/training.py --peers=peers/bin/python --output=results

Every training is a process of its own that waits until it is asked; in each round all are asked in turn, so that what
else the machine does meets all of them. Medians over the rounds, and the range.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys

import results
from peers import check

from tfvae import commandline, config

HERE = pathlib.Path(__file__).parent
PLAIN = [f"PyTorch {mode}, channels {layout}" for mode in ("eager", "compiled") for layout in ("first", "last")]
SAME_NETWORK = {"ours", *PLAIN, "pythae"}


@dataclasses.dataclass(frozen=True)
class TrainingConfig(config.Settings):
    """`python benchmarks/training.py`: some 15 minutes."""

    peers: str = config.option("", "Python of the environment with torch and pythae.")
    batch_sizes: str = config.option("5,32,128", "Batch sizes, with commas between them.")
    rounds: int = config.option(5, "Rounds that count.", at_least=1, at_most=1000)
    seconds: float = config.option(2.0, "Of each training in each round.", above=0.0)
    output: str = config.option("results", "Folder for training.json, training.png and workers.log.")
    overwrite: bool = config.option(False, "Replace results that are there.")


class Worker:
    """A process of `training_ours.py` or `training_peers.py`."""

    def __init__(self, python, script, name, batch_size, log):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(HERE.parent)}
        environment["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # So that the first step compiles, as ours does.
        command = [python, str(HERE / script), name, str(batch_size)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        except OSError as error:
            raise config.UserError(f"--peers: cannot run {python}: {error.strerror}.") from None
        self.name, self.rounds = name, []
        self.about = self._answer()

    def _answer(self):
        for line in self._process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        raise config.UserError(f"{self.name} ended with status {self._process.wait()}; see workers.log.")

    def run(self, seconds):
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        self.rounds.append(self._answer())

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def measure(batch_size, options, log):
    """Returns a row for each training at one batch size."""
    names = [("ours", "training_ours.py"), ("matrix product", "training_ours.py"), ("keras.io", "training_ours.py")]
    names += [(name, "training_peers.py") for name in (*PLAIN, "pythae")]
    workers = []
    try:
        for name, script in names:
            python = sys.executable if script == "training_ours.py" else options.peers
            workers.append(Worker(python, script, name, batch_size, log))
            print(f"batch {batch_size}: {name} is ready", flush=True)
        for number in range(options.rounds + 1):  # The first warms up.
            for worker in workers:
                worker.run(options.seconds)
            print(f"batch {batch_size}: round {number} of {options.rounds}", flush=True)
    finally:
        for worker in workers:
            worker.close()
    return rows(batch_size, workers)


def rows(batch_size, workers):
    by_name = {worker.name: worker for worker in workers}
    megaflop = by_name["ours"].about["megaflop"]
    limit = statistics.median(r["images_per_second"] for r in by_name["matrix product"].rounds[1:])
    limit *= by_name["matrix product"].about["megaflop"] / 1e3
    ours = [r["images_per_second"] for r in by_name["ours"].rounds[1:]]
    table = [{"training": "matrix product", "batch_size": batch_size, "gigaflops": limit}]
    for name, worker in by_name.items():
        if name == "matrix product":
            continue
        rates = [r["images_per_second"] for r in worker.rounds[1:]]
        gigaflops = statistics.median(rates) * megaflop / 1e3 if name in SAME_NETWORK else None
        table.append(
            {
                "training": name,
                "batch_size": batch_size,
                "images_per_second": statistics.median(rates),
                "range": [min(rates), max(rates)],
                "ours_over_this": statistics.median(a / b for a, b in zip(ours, rates, strict=True)),
                "gigaflops": gigaflops,
                "share_of_matrix_product": gigaflops and gigaflops / limit,
                "parameters": worker.about["parameters"],
                "first_step_seconds": worker.about["first_step_seconds"],
                "peak_megabytes": worker.rounds[-1]["peak_megabytes"],
            }
        )
    return table


def as_text(table):
    lines = [
        "| training | batch | images/s (range) | ours is | GFLOP/s | of product | weights | first step s | MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        if row["training"] == "matrix product":
            lines.append(f"| matrix product | {row['batch_size']} | | | {row['gigaflops']:.0f} | 1 | | | |")
            continue
        low, high = row["range"]
        share = f"{row['gigaflops']:.0f} | {row['share_of_matrix_product']:.2f}" if row["gigaflops"] else " | "
        lines.append(
            f"| {row['training']} | {row['batch_size']} | {row['images_per_second']:.0f} ({low:.0f}-{high:.0f}) "
            f"| {row['ours_over_this']:.2f} x | {share} | {row['parameters']:,} "
            f"| {row['first_step_seconds']:.1f} | {row['peak_megabytes']:.0f} |"
        )
    return "\n".join(lines)


def draw(table, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    batch_sizes = sorted({row["batch_size"] for row in table})
    figure, plots = pyplot.subplots(1, len(batch_sizes), figsize=(5 * len(batch_sizes), 3.2), squeeze=False)
    for plot, batch_size in zip(plots[0], batch_sizes, strict=True):
        shown = [row for row in table if row["batch_size"] == batch_size and row.get("images_per_second")][::-1]
        rates = [row["images_per_second"] for row in shown]
        errors = [
            [r["images_per_second"] - r["range"][0] for r in shown],
            [r["range"][1] - r["images_per_second"] for r in shown],
        ]
        colours = ["tab:blue" if row["training"] == "ours" else "tab:grey" for row in shown]
        plot.barh([row["training"] for row in shown], rates, xerr=errors, color=colours)
        plot.set(title=f"batch size {batch_size}", xlabel="images a second")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def numbers(text):
    """Returns the batch sizes that `--batch_sizes` names."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise config.UserError(f"--batch_sizes must be numbers above 0 with commas between them, got {text}.")
    return [int(part) for part in parts]


def main(settings, _):
    check(settings.peers, "torch", "pythae")
    batch_sizes = numbers(settings.batch_sizes)
    output = results.folder(settings, "training.json")
    table = []
    with open(output / "workers.log", "w", encoding="utf-8") as log:
        for batch_size in batch_sizes:
            table += measure(batch_size, settings, log)
            (output / "training.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    print(as_text(table))
    draw(table, output / "training.png")


if __name__ == "__main__":
    commandline.run(TrainingConfig, main)
