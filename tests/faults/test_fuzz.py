"""Hostile image files: refused or read, in little time and memory, and never a crash."""

import pathlib
import random as randoms
import subprocess
import sys
import time
import zlib

import hypothesis
import hypothesis.strategies as st
import image_files
import mutations
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae import config
from tfvae.data import decode, preprocessing
from tfvae.serving import image_files as served
from tfvae.serving import image_preprocessing

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


MOST = config.DataConfig.max_pixels
SPEC = preprocessing.ImageSpec(60, 60, 3, deep_values=image_preprocessing.DEEP)
hostile = hypothesis.given(random=st.randoms(use_true_random=False))


def examples(count):
    return hypothesis.settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def trained(content):
    """Returns [60, 60, 3] of a file, as training prepares it; None where it is refused."""
    with decode.limits(MOST):
        try:
            return preprocessing.prepare(decode.open_image(content, MOST, (60, 60)), SPEC)
        except (decode.NotAnImage, decode.Unreadable):
            return None


@pytest.fixture(scope="module")
def graph():
    """As `trained`, in the graph of an export."""
    read = tf.function(
        lambda contents: served.read(contents, "image_bytes", SPEC, MOST),
        [tf.TensorSpec([None], tf.string)],
        autograph=False,
    )

    def prepare(content):
        try:
            return read([content])[0].numpy()
        except tf.errors.InvalidArgumentError as error:
            assert "image_bytes[0]: expected " in error.message
            return None

    return prepare


def refused_or_read(prepare, content):
    started = time.process_time()
    found = prepare(content)
    assert found is None or found.shape == (60, 60, 3)
    assert time.process_time() - started < 5


@examples(500)
@hostile
def test_hostile_files_are_refused_or_read(random):
    refused_or_read(trained, mutations.hostile(random)[1])


@examples(250)
@hostile
def test_hostile_files_are_refused_or_read_by_an_export(graph, random):
    refused_or_read(graph, mutations.hostile(random, mutations.SERVED)[1])


def test_files_are_changed_in_ways_that_matter():
    made = [mutations.hostile(randoms.Random(number)) for number in range(500)]
    assert len({name for name, _ in made}) > 0.8 * len(mutations.SEEDS)
    assert sum(content != mutations.SEEDS[name] for name, content in made) > 480


def largest(kind, pixels=image_preprocessing.SERVED_PIXELS):
    """Returns a file of nearly as many pixels as an export decodes, of a kind that takes much memory."""
    width = int((pixels * 1.25) ** 0.5)
    height = pixels // width
    if kind == "deep.png":
        image = Image.fromarray(np.full((height, width), 40_000, np.uint16))
    elif kind == "wide.png":
        image = Image.new("RGBA", (pixels // 50, 50), (200, 100, 50, 100))
    elif kind == "high.png":
        image = Image.new("RGBA", (50, pixels // 50), (200, 100, 50, 100))
    else:
        image = Image.new("RGBA", (width, height), (200, 100, 50, 100))
    if kind.endswith("png"):
        return image_files.saved(image, "PNG", compress_level=1)
    # Too long and narrow to be decoded at a fraction of its size.
    picture = Image.new("CMYK", (65_000, pixels // 65_000)) if kind == "cmyk.jpg" else image.convert("RGB")
    return image_files.saved(picture, "JPEG", progressive=True, subsampling=0)


ALONE = """if True:
    import pathlib, sys
    import tensorflow as tf
    from tfvae.data import preprocessing
    from tfvae.serving import image_files
    def status(kind):
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024
    spec = preprocessing.ImageSpec(60, 60, 3, "stretch")
    read = tf.function(lambda contents: image_files.read(contents, "image_bytes", spec, 50_000_000), autograph=False)
    small, large = (tf.constant([pathlib.Path(name).read_bytes()]) for name in sys.argv[1:])
    read(small)
    before = status("VmRSS")
    read(large)
    print(status("VmHWM") - before)
"""


def test_the_largest_image_that_is_served_takes_less_than_512_megabytes(tmp_path):
    _status("VmRSS")
    (tmp_path / "small.png").write_bytes(image_files.FILES["rgb.png"])
    children = {}
    for kind in ("progressive.jpg", "cmyk.jpg", "rgba.png", "deep.png", "wide.png", "high.png"):
        (tmp_path / kind).write_bytes(largest(kind))
        # Each in a process of its own, for an allocator keeps what earlier images took.
        command = [sys.executable, "-c", ALONE, tmp_path / "small.png", tmp_path / kind]
        children[kind] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    answers = {kind: child.communicate() for kind, child in children.items()}
    assert not any(child.returncode for child in children.values()), answers
    megabytes = {kind: float(answer) for kind, (answer, _) in answers.items()}
    assert all(50 < found < 512 for found in megabytes.values()), megabytes


def test_a_jpeg_of_many_scans_is_refused_at_once(graph):
    content = image_files.saved(Image.fromarray(np.zeros((1000, 1000, 3), np.uint8)), "JPEG", progressive=True)
    assert content.count(b"\xff\xda") > 5
    # A scan of the lowest bit of one coefficient, which changes nothing, two thousand times over.
    start = content.rindex(b"\xff\xda")
    bomb = content[:-2] + content[start:-2] * 2000 + content[-2:]
    for prepare in (trained, graph):
        assert prepare(content) is not None
        started = time.process_time()
        assert prepare(bomb) is None
        assert time.process_time() - started < 1


def test_a_compressed_comment_is_no_bomb(graph):
    bomb = image_files.with_chunk(image_files.FILES["rgb.png"], b"iCCP", b"x\0\0" + zlib.compress(bytes(10**9), 9))
    for prepare in (trained, graph):
        assert megabytes(lambda prepare=prepare: prepare(bomb)) < 100


TRAINED_ALONE = """if True:
    import io, sys
    from PIL import Image
    from tfvae.data import decode, preprocessing, value_range
    def status(kind):
        lines = open("/proc/self/status").readlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024
    spec = preprocessing.ImageSpec(60, 60, 3, "stretch", deep_values=value_range.ValueRange(0.0, 1.0))
    with decode.limits(50_000_000):
        for name in sys.argv[1:]:
            before = status("VmRSS")
            preprocessing.prepare(decode.open_image(name, 50_000_000, (60, 60)), spec)
    print(status("VmHWM") - before)
"""


def test_the_largest_image_that_is_trained_on_takes_less_than_512_megabytes(tmp_path):
    _status("VmRSS")
    (tmp_path / "small.png").write_bytes(image_files.FILES["rgb.png"])
    # As many pixels as may be decoded of each kind.
    large, half = (7900, 6300), (5600, 4400)
    Image.new("RGBA", large, (200, 100, 50, 100)).save(tmp_path / "rgba.png", compress_level=1)
    Image.new("P", large).save(tmp_path / "transparent.gif", transparency=0)
    Image.new("RGB", large).save(tmp_path / "progressive.jpg", progressive=True, subsampling=0)
    Image.new("RGBA", half, (200, 100, 50, 100)).save(tmp_path / "rgba.webp", method=0, quality=1)
    Image.new("F", half, 0.5).save(tmp_path / "float.tif", compression="tiff_lzw")
    Image.new("RGB", (12_000, 9_000)).save(tmp_path / "phone.jpg", quality=50)
    megabytes = {}
    for kind in ("rgba.png", "transparent.gif", "progressive.jpg", "rgba.webp", "float.tif", "phone.jpg"):
        command = [sys.executable, "-c", TRAINED_ALONE, tmp_path / "small.png", tmp_path / kind]
        megabytes[kind] = float(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert megabytes.pop("phone.jpg") < 50  # 108 million pixels, decoded at an eighth.
    assert all(50 < found < 512 for found in megabytes.values()), megabytes
