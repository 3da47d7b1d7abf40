"""What memory loading a folder and walking an epoch takes: for `input.py`, one process for each number of images.

As a script it is that process, and prints {"loaded", "peak", "images"} in JSON (Linux only): the MB resident after the
epoch, and at most, without those of a process that has TensorFlow and a small folder open.
"""

import json
import pathlib
import shutil
import subprocess
import sys

from tfvae import config, data


def _make_small(folder, count, size):
    """Writes `count` small PNG files, 1,000 to a folder."""
    from tfvae.data import artwork, styles

    art = styles.load("personas")
    pngs = [artwork.render(art, size, artwork.pins(art, artwork.sample(art, number))).png for number in range(100)]
    for number in range(count):
        path = folder / f"{number // 1000:04d}" / f"{number:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pngs[number % len(pngs)])


def _resident(kind):
    """Returns the MB of this process that are resident, "VmRSS", or were at most, "VmHWM"."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024 / 1e6


def _walk(loaded, batches):
    for _, _ in zip(range(batches), loaded.training, strict=False):
        pass


def measure(settings, root):
    """Returns [{"start", "images", "loaded", "peak", "data"}], in MB: a process for each number of images."""
    counts = [int(count) for count in settings.memory.split(",")]
    _make_small(root / "few", 1000, settings.size)
    found = []
    for count in counts:
        folder = root / f"many-{count}"
        _make_small(folder, count, settings.size)
        arguments = [root / "few", folder, root / "prepared", str(settings.size)]
        for start in ("first", "again"):  # Once to write what is kept on disk, once to read it.
            command = [sys.executable, __file__, *arguments]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            size = count * settings.size**2 * 3 / 1e6
            found.append({"start": start, "data": size, **json.loads(run.stdout.splitlines()[-1])})
            print(f"memory: {found[-1]}", flush=True)
        shutil.rmtree(folder)
        shutil.rmtree(root / "prepared", ignore_errors=True)
    return found


def main(small, folder, data_dir, size):
    def load(path):
        return data.load(
            config.DataConfig(data=path, image_size=int(size), cache="disk", data_dir=data_dir, batch_size=5)
        )

    _walk(load(small), 20)  # So that what does not depend on the images is there.
    before = _resident("VmRSS")
    loaded = load(folder)
    _walk(loaded, loaded.steps_per_epoch)
    count = loaded.num_training + loaded.num_validation + loaded.num_test
    print(json.dumps({"loaded": _resident("VmRSS") - before, "peak": _resident("VmHWM") - before, "images": count}))


if __name__ == "__main__":
    main(*sys.argv[1:])
