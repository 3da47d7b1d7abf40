"""How fast images come in, and what memory they take: `python benchmarks/input.py --peers=PEERS/bin/python`.

The peers live in another environment, for they are no dependency of the package:

    python3 -m venv PEERS
    PEERS/bin/pip install torch==2.13.0 pythae==0.1.2 pillow

All ways are measured in turn, --rounds times over, in this one run; a number is the median over the rounds, with the
least and the most. Files have been read before (they are in the operating system's cache), everything is resized to
--size x --size, and a batch is 5 images. `cold` is a first pass, from file to batch, start included:

- tfvae: `tfvae.data.load` from the call to its return: listing, decoding, compositing, antialiased resize, looking for
  copies, all kept;
- torch: `DataLoader` with Pillow, one pass; no workers, or one a core (transparency dropped,
  or, with `on white`, composited as tfvae does);
- keras: `keras.utils.image_dataset_from_directory`, one pass (no antialiasing; transparency dropped); and with
  `interpolation="area"`, which looks at all pixels, as antialiasing does;
- Pillow, decoding: the limit: files opened and decoded in as many threads as there are cores, and no more; JPEG files
  at the fraction of their size that tfvae takes.

`cached` is an epoch after that: `training` of tfvae (shuffled anew, float32), `.cache()` behind keras's data set. The
training step whose speed the cached epochs are compared with is the default model's, compiled, on the same machine.

Memory is what a process has more after it has loaded a folder with the cache on disk and walked an epoch, than before.
"""

import concurrent.futures
import dataclasses
import functools
import io
import json
import os
import pathlib
import re
import tempfile
import time

import input_memory
import input_report
import results
from peers import Peer, check

from tfvae import commandline, config

BATCH = 5
DRAWINGS = 200  # Different ones in a folder; more images are copies of them.
KINDS = ("PNG with transparency", "PNG", "JPEG")


@dataclasses.dataclass(frozen=True)
class InputConfig(config.Settings):
    """`python benchmarks/input.py`."""

    peers: str = config.option("", "Python of the environment with PyTorch and Pillow; empty: without them.")
    output: str = config.option("benchmark-input", "Folder for input.json, input.md and input.png.")
    overwrite: bool = config.option(False, "Replace results that are there.")
    size: int = config.option(60, "Height and width that images are resized to.", at_least=8, at_most=512)
    images: int = config.option(1000, "Images of 500 x 500 in each folder.", at_least=200)
    rounds: int = config.option(5, "Times that everything is measured.", at_least=1)
    memory: str = config.option("10000,100000", "Numbers of images for the memory, ascending; empty: not measured.")
    ways: str = config.option("", "Ways to measure, by the beginnings of their names, with commas; empty: all of them.")
    tfds: bool = config.option(True, "Measure the prepared avatars too (drawn at the first use).")
    data_dir: str = config.option("", "Folder for prepared data; empty: as in training.")
    quick: bool = config.option(False, "A minute instead of ten: fewer images and rounds. For a look, not for a table.")

    def __post_init__(self):
        super().__post_init__()
        if self.memory and not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)+", self.memory):
            raise config.UserError(f"--memory must be at least two numbers such as 10000,100000, got {self.memory!r}.")


def make_folders(root, count):
    """Writes avatars of 500 x 500: with transparency as PNG, on white as PNG and as JPEG; the same on every machine."""
    from PIL import Image

    from tfvae.data import artwork, styles

    art = styles.load("personas")
    for kind in KINDS:
        (root / kind).mkdir(parents=True)
    drawn = min(count, DRAWINGS)
    for number in range(drawn):
        png = artwork.render(art, 500, artwork.pins(art, artwork.sample(art, number))).png
        image = Image.open(io.BytesIO(png)).convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        opaque, jpeg = io.BytesIO(), io.BytesIO()
        white.convert("RGB").save(opaque, "PNG")
        white.convert("RGB").save(jpeg, "JPEG", quality=90)
        for copy in range(number, count, drawn):
            (root / "PNG with transparency" / f"{copy:06d}.png").write_bytes(png)
            (root / "PNG" / f"{copy:06d}.png").write_bytes(opaque.getvalue())
            (root / "JPEG" / f"{copy:06d}.jpg").write_bytes(jpeg.getvalue())


def timed(dataset, least=0.0):
    """Returns images/s of whole passes over a data set of batches, for at least so many seconds."""
    start, count = time.perf_counter(), 0
    while not count or time.perf_counter() - start < least:
        for batch in dataset:
            count += len(batch)
    return count / (time.perf_counter() - start)


class Ours:
    """`tfvae.data`: cold and cached images/s of one kind of data, and the training step's speed."""

    def __init__(self, settings, **arguments):
        self._settings = config.TrainConfig(
            image_size=settings.size, batch_size=BATCH, data_dir=settings.data_dir, cache="memory", **arguments
        )
        self._loaded = self.load()
        self._batches = iter(self._loaded.training)
        next(self._batches)

    def load(self):
        from tfvae import data

        return data.load(self._settings)

    def cold(self):
        start = time.perf_counter()
        loaded = self.load()
        count = loaded.num_training + loaded.num_validation + loaded.num_test
        return count / (time.perf_counter() - start)

    def cached(self, seconds=2.0):
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            for _ in range(100):
                next(self._batches)
            count += 100 * BATCH
        return count / (time.perf_counter() - start)

    @functools.cached_property
    def _vae(self):
        from tfvae import model

        vae = model.build(self._settings, self._loaded.image_shape)
        vae.compile(optimizer="adam", jit_compile=True)
        return vae

    def training(self, steps=100):
        start = time.perf_counter()
        self._vae.fit(self._loaded.training, steps_per_epoch=steps, verbose=0, shuffle=False)
        return steps * BATCH / (time.perf_counter() - start)


def pillow_alone(paths, size):
    """Returns images/s of decoding in threads, by nothing but Pillow."""
    from PIL import Image

    def decode(path):
        with Image.open(path) as image:
            image.draft(None, (2 * size, 2 * size))
            image.load()

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in pool.map(decode, paths):
            pass
    return len(paths) / (time.perf_counter() - start)


def keras_way(folder, size, cached, interpolation="bilinear"):
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        folder,
        labels=None,
        image_size=(size, size),
        batch_size=BATCH,
        interpolation=interpolation,
        verbose=False,
    )
    return dataset.cache().prefetch(2) if cached else dataset


class Torch:
    """The process that runs `input_peer.py`."""

    def __init__(self, python):
        script = pathlib.Path(__file__).with_name("input_peer.py")
        self._peer = Peer([python, script], "--peers: PyTorch or Pillow failed there; see above.")
        self.close = self._peer.close

    def __call__(self, folder, size, workers, on_white=False):
        answer = self._peer.ask(folder=str(folder), size=size, batch_size=BATCH, workers=workers, on_white=on_white)
        return answer["images"] / answer["seconds"]


def ways_of_folder(folder, settings, torch):
    """Returns {(kind of data, pass, way): function that measures images/s}."""
    kind, size = folder.name, settings.size
    paths = sorted(map(str, folder.iterdir()))
    ours = Ours(settings, data=str(folder))
    cached = keras_way(folder, size, True)
    found = {
        ("cold", "tfvae"): ours.cold,
        ("cold", "keras"): functools.partial(timed, keras_way(folder, size, False)),
        ("cold", "keras, area"): functools.partial(timed, keras_way(folder, size, False, "area")),
        ("cold", "Pillow, decoding"): functools.partial(pillow_alone, paths, size),
        ("cached", "tfvae"): ours.cached,
        ("cached", "keras"): functools.partial(timed, cached, 2.0),
    }
    if torch:
        for workers in (0, os.cpu_count()):
            found["cold", f"torch, {workers} workers"] = functools.partial(torch, folder, size, workers)
            if "transparency" in kind:
                way = f"torch, {workers} workers, on white"
                found["cold", way] = functools.partial(torch, folder, size, workers, on_white=True)
    if kind == "JPEG":
        found["training", "tfvae"] = ours.training
    return {(f"500 x 500 {kind}", *key): measure for key, measure in found.items()}


def ways_of_tfds(settings):
    ours = Ours(settings, data="avatars")
    found = {("cold", "tfvae"): ours.cold, ("cached", "tfvae"): ours.cached}
    return {(f"TFDS avatars, {settings.size} x {settings.size}", *key): measure for key, measure in found.items()}


def main(settings, _):
    if settings.quick:
        settings = dataclasses.replace(settings, images=200, rounds=2, memory="2000,10000", tfds=False)
    start = time.perf_counter()
    if settings.peers:
        check(settings.peers, "torch", "PIL")
    output = results.folder(settings, "input.json")
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        print("Drawing the images", flush=True)
        make_folders(root, settings.images)
        torch = Torch(settings.peers) if settings.peers else None
        ways = {}
        for kind in KINDS:
            ways |= ways_of_folder(root / kind, settings, torch)
        if settings.tfds:
            ways |= ways_of_tfds(settings)
        wanted = tuple(settings.ways.split(","))
        ways = {key: measure for key, measure in ways.items() if key[2].startswith(wanted)}
        rates = {key: [] for key in ways}
        for number in range(-1, settings.rounds):  # One round more, that is not counted: what is set up at the first.
            for key, measure in ways.items():
                rate = measure()
                print(f"round {number + 1}: {', '.join(key)}: {rate:,.0f} images/s", flush=True)
                if number >= 0:
                    rates[key].append(rate)
        if torch:
            torch.close()
        found = input_memory.measure(settings, root) if settings.memory else []
    took = time.perf_counter() - start
    text = input_report.table(rates, found, settings, took)
    (output / "input.md").write_text(text)
    rows = [{"data": key[0], "pass": key[1], "way": key[2], "rounds": each} for key, each in rates.items()]
    raw = {"settings": dataclasses.asdict(settings), "images_per_second": rows, "memory": found}
    (output / "input.json").write_text(json.dumps(raw, indent=1) + "\n")
    input_report.picture(rates, output / "input.png")
    print(text)


if __name__ == "__main__":
    commandline.run(InputConfig, main)
