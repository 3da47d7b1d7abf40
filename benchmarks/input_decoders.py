"""What decoders of image files take, alone and with an antialiased resize: `python benchmarks/input_decoders.py`.

It runs in an environment of its own, for the other libraries are no dependency of the package:

    python3 -m venv DECODERS
    DECODERS/bin/pip install . opencv-python-headless imagecodecs 'pyvips[binary]'
    DECODERS/bin/python benchmarks/input_decoders.py

Milliseconds of processor time an image in one thread, for 500 x 500 images made 60 x 60 without a look at alpha (but by
tfvae): the least of --rounds means over --images files. How a decoder shares a machine with others is `input.py`'s.
"""

import dataclasses
import io
import os
import pathlib
import tempfile
import time

import input as input_benchmark

from tfvae import commandline, config

SIZE = 60


@dataclasses.dataclass(frozen=True)
class DecodersConfig(config.Settings):
    """`python benchmarks/input_decoders.py`."""

    images: int = config.option(200, "Files of each kind.", at_least=200)
    rounds: int = config.option(5, "Times that everything is measured.", at_least=1)


def tensorflow_ways():
    """Returns {name: (decode, decode and resize)} of functions of a file's content."""
    import tensorflow as tf

    from tfvae.data import images, store

    settings = config.TrainConfig()
    shape = store.Shape(SIZE, SIZE, 3, settings.fit, settings.background_rgb, settings.max_pixels)
    contents = tf.TensorSpec([], tf.string)

    def graph(function):
        return tf.function(function, input_signature=[contents], autograph=False)

    def decoded(contents):
        return tf.io.decode_image(contents, expand_animations=False)

    def resized(contents):
        return tf.image.resize(decoded(contents), [SIZE, SIZE], antialias=True)

    alone = graph(lambda contents: images.decode(contents, shape.max_pixels, wanted=(SIZE, SIZE)))
    ours = graph(lambda contents: store.preparer(shape)(contents))
    return {"TensorFlow": (graph(decoded), graph(resized)), "tfvae": (alone, ours)}


def other_ways():
    """Returns what `tensorflow_ways` does, of other libraries."""
    import cv2
    import imagecodecs
    import numpy as np
    import pyvips
    from PIL import Image

    cv2.setNumThreads(1)

    def opencv(contents):
        return cv2.imdecode(np.frombuffer(contents, np.uint8), cv2.IMREAD_UNCHANGED)

    def opencv_area(contents):
        return cv2.resize(opencv(contents), (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    def libvips(contents):
        return pyvips.Image.new_from_buffer(contents, "", access="sequential")

    def libvips_resized(contents):
        image = libvips(contents)
        return image.resize(SIZE / image.width, kernel="linear").numpy()

    def pillow(contents):
        return np.asarray(Image.open(io.BytesIO(contents)))

    def pillow_resized(contents):
        return np.asarray(Image.open(io.BytesIO(contents)).resize((SIZE, SIZE), Image.BILINEAR))

    def codecs(contents):
        return (imagecodecs.jpeg8_decode if contents[:2] == b"\xff\xd8" else imagecodecs.spng_decode)(contents)

    return {
        "OpenCV": (opencv, opencv_area),
        "libvips": (lambda contents: libvips(contents).numpy(), libvips_resized),
        "Pillow": (pillow, pillow_resized),
        "imagecodecs (libspng, libjpeg-turbo)": (codecs, None),
    }


def milliseconds(function, files):
    start = time.process_time()
    for contents in files:
        function(contents)
    return 1e3 * (time.process_time() - start) / len(files)


def main(settings, _):
    os.environ["VIPS_CONCURRENCY"] = "1"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    ways = tensorflow_ways() | other_ways()
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        input_benchmark.make_folders(root, settings.images)
        for kind in input_benchmark.KINDS:
            files = [path.read_bytes() for path in sorted((root / kind).iterdir())]
            print(
                f"\n| {kind}, ms an image | decoding | decoding and resizing | share of decoding |\n|---|---|---|---|"
            )
            for who, functions in ways.items():
                for function in filter(None, functions):
                    function(files[0])  # What is set up at the first call.
                took = [
                    min(milliseconds(each, files) for _ in range(settings.rounds)) for each in filter(None, functions)
                ]
                both = f"{took[1]:.2f} | {took[0] / took[1]:.2f}" if len(took) > 1 else " |"
                print(f"| {who} | {took[0]:.2f} | {both} |", flush=True)


if __name__ == "__main__":
    commandline.run(DecodersConfig, main)
