"""Hostile image files: refused or read, in little time and memory, and never a crash."""

import pathlib
import struct
import subprocess
import sys
import time

import hypothesis
import hypothesis.strategies as st
import mutations
import numpy as np
import pytest
import tensorflow as tf
import test_images
from PIL import Image

from tfvae.data import images, store

ROOT = pathlib.Path(__file__).parent.parent.parent


def _status(kind):
    path = pathlib.Path("/proc/self/status")
    if not path.exists():
        pytest.skip("needs Linux's /proc")
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(kind)) / 1024


def megabytes(call):
    """Returns by how much `call` makes this process grow at most."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


@pytest.fixture(scope="module")
def prepare():
    """A file -> [60, 60, 3], as training and exports do it."""
    prepared = store.preparer(store.Shape(60, 60, 3, "crop", (255, 255, 255), images.MOST_PIXELS))
    return lambda content: prepared(tf.constant(content))


@hypothesis.settings(
    max_examples=500, derandomize=True, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(random=st.randoms(use_true_random=False))
def test_hostile_files_are_refused_or_read(prepare, random):
    _, content = mutations.hostile(random)
    started = time.process_time()
    try:
        assert prepare(content).shape == (60, 60, 3)
    except tf.errors.InvalidArgumentError:
        pass
    assert time.process_time() - started < 5


def test_files_are_changed_in_ways_that_matter():
    import random

    made = [mutations.hostile(random.Random(number)) for number in range(500)]
    assert len({name for name, _ in made}) > 0.8 * len(mutations.SEEDS)
    assert sum(content != mutations.SEEDS[name] for name, content in made) > 480


def largest(kind, pixels=images.MOST_PIXELS):
    """Returns a file of nearly as many pixels as may be decoded, not square, of a kind that takes much memory."""
    width = int((pixels * 1.25) ** 0.5)
    height = pixels // width
    image = Image.new("RGBA", (width, height), (200, 100, 50, 100))
    if kind == "transparent.gif":
        return test_images.saved(Image.new("P", (width, height)), "GIF", transparency=3)
    if kind == "animated.webp":
        rest = {"save_all": True, "append_images": [Image.new("RGBA", (width, height))], "duration": 50}
        return test_images.saved(image, "WEBP", lossless=True, method=0, quality=0, **rest)
    if kind == "rgba.bmp":
        return test_images.saved(image, "BMP")
    if kind == "rgba.png":
        return test_images.saved(image, "PNG", compress_level=1)
    picture = image.convert("RGB").resize((width // 2 * 4 - 1, height))  # Odd: not decoded at a fraction of its size.
    return test_images.saved(picture, "JPEG", progressive=True)


ALONE = """if True:
    import pathlib, sys
    import tensorflow as tf
    from tfvae.data import images, store
    def status(kind):
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024
    prepare = store.preparer(store.Shape(60, 60, 3, "crop", (255, 255, 255), images.MOST_PIXELS))
    prepare(tf.constant(pathlib.Path(sys.argv[1]).read_bytes()))
    before = status("VmRSS")
    prepare(tf.constant(pathlib.Path(sys.argv[2]).read_bytes()))
    print(status("VmHWM") - before)
"""


def test_the_largest_image_that_is_read_takes_less_than_512_megabytes(tmp_path):
    _status("VmRSS")
    (tmp_path / "small.png").write_bytes(test_images.FILES["rgb.png"][0])
    children = {}
    for kind in ("progressive.jpg", "transparent.gif", "animated.webp", "rgba.bmp", "rgba.png"):
        (tmp_path / kind).write_bytes(largest(kind))
        # Each in a process of its own, for an allocator keeps what earlier images took.
        command = [sys.executable, "-c", ALONE, tmp_path / "small.png", tmp_path / kind]
        children[kind] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    answers = {kind: child.communicate() for kind, child in children.items()}
    assert not any(child.returncode for child in children.values()), answers
    megabytes = {kind: float(answer) for kind, (answer, _) in answers.items()}
    assert all(50 < found < 512 for found in megabytes.values()), megabytes


def test_a_jpeg_of_many_scans_is_refused_at_once(prepare):
    content = test_images.saved(Image.fromarray(np.zeros((1000, 1000, 3), np.uint8)), "JPEG", progressive=True)
    scans = content.count(b"\xff\xda")
    assert scans > 5
    prepare(content)
    # A scan of the lowest bit of one coefficient, which changes nothing, two thousand times over.
    start = content.rindex(b"\xff\xda")
    bomb = content[:-2] + content[start:-2] * 2000 + content[-2:]
    started = time.process_time()
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most 100 scans.*{scans + 2000}"):
        prepare(bomb)
    assert time.process_time() - started < 1


def test_a_compressed_comment_is_no_bomb(prepare):
    import zlib

    content = test_images.FILES["rgb.png"][0]
    body = b"iCCPx\0\0" + zlib.compress(bytes(10**9), 9)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    assert megabytes(lambda: _quietly(prepare, content[:33] + chunk + content[33:])) < 100


def _quietly(prepare, content):
    try:
        prepare(content)
    except tf.errors.InvalidArgumentError:
        pass
