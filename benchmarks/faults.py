"""What a training survives: `python benchmarks/faults.py --output=results`.

Three parts, of which --only names one or some:

- kills: trainings of a small recipe are killed (SIGKILL) at random moments, some of them aimed at a checkpoint or an
  export that is being written, the first compilation, and TFDS preparing; each is continued with --resume and compared
  with an uninterrupted run: metrics.jsonl and every array of the last checkpoint, bit for bit;
- images: hostile files, real ones of every format with random changes, go through the decoding and resizing that
  training and exports share, in child processes: crashes, hangs (over 5 s of processor time), and what one image takes;
- memory: the resident size of a training of many epochs after each of them.

faults.md and faults.json are written after each part. Linux only.
"""

import dataclasses
import json
import os
import time

import faults_images
import faults_runs
import results

from tfvae import commandline, config

PARTS = ("kills", "images", "memory")


@dataclasses.dataclass(frozen=True)
class FaultsConfig(config.Settings):
    """`python benchmarks/faults.py`."""

    output: str = config.option("benchmark-faults", "Folder for faults.json, faults.md and the files that do harm.")
    overwrite: bool = config.option(False, "Replace results that are there.")
    only: str = config.option("kills,images,memory", "Parts, with commas between them.")
    kills: int = config.option(20, "Trainings that are killed.", at_least=1)
    inputs: int = config.option(100_000, "Hostile image files.", at_least=1)
    epochs: int = config.option(50, "Epochs of the training whose memory is read.", at_least=4)
    seed: int = config.option(0, "Of the moments and of the files.", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        if not set(self.only.split(",")) <= set(PARTS):
            raise config.UserError(f"--only must be some of {','.join(PARTS)}, got {self.only!r}.")


def _kills_table(rows):
    yield "| fault | moment | what happened | equal to the uninterrupted run | seconds of work repeated |"
    yield "|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| SIGKILL | {row['moment']}{' (aimed)' * row['aimed']} | {row['happened']} "
            f"| {'yes' if row['equal'] else '**no**'} | {row['repeated']:.1f} |"
        )


def _images_table(found):
    yield "| hostile files | outcomes | longest, s of processor time | most memory for one, MB | harmful |"
    yield "|---|---|---|---|---|"
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(found["outcomes"].items()))
    yield (
        f"| {found['inputs']:,} | {outcomes} | {found['slowest']:.2f} | {found['largest']:.0f} "
        f"| {len(found['harmful'])} |"
    )


def _memory_table(found):
    yield "| epochs | resident after the second, MB | after the last | slope, MB an epoch | slope of the peak |"
    yield "|---|---|---|---|---|"
    resident = found["resident"]
    yield (
        f"| {found['epochs']} | {resident[0]:.0f} | {resident[-1]:.0f} | {found['slope']:.2f} "
        f"| {found['peak_slope']:.2f} |"
    )


def main(settings, _):
    output = results.folder(settings)
    kept, parts = output / "faults.json", settings.only.split(",")
    found = results.read(kept) if kept.exists() else {}
    measured = [part for part in parts if part in found]
    if measured and not settings.overwrite:
        raise config.UserError(f"--output: {kept} has {', '.join(measured)}; name another folder or add --overwrite.")
    for part in parts:
        began = time.monotonic()
        if part == "kills":
            found[part] = faults_runs.kills(settings.kills, settings.seed, output)
        elif part == "images":
            found[part] = faults_images.measure(settings.inputs, settings.seed, output)
        else:
            found[part] = faults_runs.memory(settings.epochs, output)
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
        kept.write_text(json.dumps(found, indent=1) + "\n")
        tables = {"kills": _kills_table, "images": _images_table, "memory": _memory_table}
        text = "\n\n".join("\n".join(tables[name](found[name])) for name in PARTS if name in found)
        (output / "faults.md").write_text(text + "\n")
    print((output / "faults.md").read_text(), end="")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    commandline.run(FaultsConfig, main)
