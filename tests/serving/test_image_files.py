"""What the graph of an export makes of image files, against what training makes of them with Pillow."""

import itertools
import struct
import zlib

import image_files as files
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae.data import decode, preprocessing
from tfvae.data.preprocessing import ImageSpec
from tfvae.data.value_range import ValueRange
from tfvae.serving import image_files, image_preprocessing

MOST = 50_000_000
DEEP, DIM = ValueRange(100.0, 40_000.0), ValueRange(20.0, 200.0)
SPECS = [
    ImageSpec(20, 25, 3, "crop", "bilinear"),
    ImageSpec(16, 16, 1, "pad", "bicubic", (255, 0, 40)),
    ImageSpec(30, 12, 4, "stretch", "lanczos"),
    ImageSpec(24, 24, 3, "pad", "nearest", (10, 200, 30)),
    ImageSpec(12, 40, 4, "crop", "bicubic", deep_values=DEEP),
    ImageSpec(64, 48, 1, "stretch", "bilinear", deep_values=DEEP),
    ImageSpec(40, 40, 3, "crop", "lanczos", (0, 0, 200), DIM, DEEP),
    ImageSpec(18, 30, 4, "pad", "bilinear", (9, 9, 9), DIM),
    ImageSpec(14, 22, 1, "crop", "nearest"),
]


def _png_files():
    sizes = itertools.cycle([(14, 22), (97, 61), (5, 7), (40, 130), (230, 301), (1, 9)])
    for interlaced in (False, True):
        for bits, colour in itertools.product((1, 2, 4, 8, 16), (0, 2, 3, 4, 6)):
            if (colour == 3 and bits == 16) or (colour in (2, 4, 6) and bits < 8):
                continue
            key = struct.pack(">H", 2 if bits > 1 else 1)
            transparencies = {
                0: {"": b"", "-key": key},
                2: {"": b"", "-key": key * 3},
                3: {
                    "": b"",
                    "-first": b"\0",
                    "-faint": bytes([15, 3, 1] * 85)[: 2**bits],
                    "-half": b"\x80\xff\x40"[: 2**bits],
                    # What TensorFlow gives opaque files of few bits for alpha.
                    "-same": bytes([2 ** min(bits, 7) - 1]) * 2**bits,
                },
            }.get(colour, {"": b""})
            for word, transparency in transparencies.items():
                height, width = next(sizes)
                name = f"bits-{bits}-colour-{colour}{word}{'-interlaced' * interlaced}.png"
                yield name, files.png(bits, colour, interlaced, transparency, height, width)


def _more_png_files():
    rgb, rgba = Image.fromarray(files.noise(90, 61, 3)), Image.fromarray(files.smooth(4, 90, 61))
    corner = rgb.getpixel((3, 2))
    yield "key-grey.png", files.saved(rgb.convert("L"), "PNG", transparency=rgb.convert("L").getpixel((3, 2)))
    yield "bilevel.png", files.saved(rgb.convert("1"), "PNG")
    yield "animated.png", files.FILES["animated.png"]
    yield "profile.png", files.saved(rgb, "PNG", icc_profile=b"any" * 100)
    yield "key.png", files.saved(rgb, "PNG", transparency=corner)
    deep = files.noise(50, 60, high=65536, dtype=np.uint16)
    yield "deep-smooth.png", files.saved(Image.fromarray(np.sort(deep, axis=1)), "PNG")
    yield "dim.png", files.saved(Image.fromarray(files.noise(50, 60, 3, high=17) * np.uint8(11)), "PNG")
    text = b"Comment\0" + b"tRNS IDAT eXIf tiff:Orientation"
    yield "words.png", files.with_chunk(files.png(4, 0), b"tEXt", text)
    for orientation in range(1, 9):
        exif = files.intel_exif(orientation) if orientation % 2 else files.exif(orientation)
        yield f"exif-{orientation}.png", files.with_chunk(files.saved(rgba, "PNG"), b"eXIf", exif[6:])
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="6"/>'
    yield "xmp.png", files.with_chunk(files.saved(rgb, "PNG"), b"iTXt", xmp)
    yield (
        "exif-before-xmp.png",
        files.with_chunk(files.with_chunk(files.saved(rgb, "PNG"), b"iTXt", xmp), b"eXIf", files.exif(3)[6:]),
    )
    for height, width in ((700, 900), (901, 333), (30, 2000), (1500, 9), (2, 3), (64, 48), (20, 25)):
        yield f"{height}x{width}.png", files.saved(Image.fromarray(files.noise(height, width, 3)), "PNG")
        alpha = files.smooth(4, height, width)
        yield f"{height}x{width}-alpha.png", files.saved(Image.fromarray(alpha), "PNG", compress_level=1)
    whole, end = files.FILES["rgb.png"][:-12], files.FILES["rgb.png"][-12:]
    yield "exif-behind.png", whole + files.chunk(b"eXIf", files.exif(8)[6:]) + end
    hard = (files.noise(60, 80, 4, high=2) * np.uint8(255)).repeat(7, 0).repeat(7, 1)
    yield "hard.png", files.saved(Image.fromarray(hard), "PNG")
    yield "hard-opaque.png", files.saved(Image.fromarray(hard[..., :3].copy()), "PNG")


def _jpeg_files():
    for height, width in ((14, 22), (61, 97), (101, 133), (203, 301), (401, 533), (809, 611), (1283, 90)):
        rgb = Image.fromarray(files.smooth(3, height, width))
        for name, image, options in (
            ("grey", rgb.convert("L"), {}),
            ("420", rgb, {"subsampling": 2}),
            ("422", rgb, {"subsampling": 1}),
            ("444", rgb, {"subsampling": 0, "quality": 98}),
            ("progressive", rgb, {"progressive": True}),
            ("restarts", rgb, {"restart_marker_rows": 1}),
            ("as-rgb", rgb, {"keep_rgb": True, "quality": 95}),
            ("cmyk", files.cmyk(height, width), {"quality": 95}),
            ("progressive-grey", rgb.convert("L"), {"progressive": True}),
        ):
            yield f"{name}-{height}x{width}.jpg", files.saved(image, "JPEG", **options)
    noisy = Image.fromarray(files.noise(333, 517, 3))
    yield "icc.jpg", files.saved(noisy, "JPEG", icc_profile=b"any" * 100, comment=b"\xff\xd8")
    yield "noise.jpg", files.saved(noisy, "JPEG", quality=95)
    for orientation in range(1, 9):
        for size in ((14, 22), (203, 301), (611, 409)):
            image = Image.fromarray(files.smooth(3, *size))
            content = files.saved(image, "JPEG", exif=files.exif(orientation), quality=95)
            yield f"exif-{orientation}-{size[0]}x{size[1]}.jpg", content
    still = Image.fromarray(files.smooth(3))
    yield "intel.jpg", files.little_endian_exif()
    yield "xmp.jpg", files.saved(still, "JPEG", xmp=b"<rdf><tiff:Orientation>8</tiff:Orientation></rdf>")
    yield "exif-and-xmp.jpg", files.saved(still, "JPEG", exif=files.exif(3), xmp=b'<rdf tiff:Orientation="6"/>')
    thumbnail = files.saved(still, "JPEG", exif=files.exif(6))
    yield "picture-behind.jpg", files.saved(still, "JPEG") + thumbnail
    yield "word.jpg", files.saved(still, "JPEG", comment=b"Exif tiff:Orientation")


def _refused():
    cmyk = files.saved(files.cmyk(), "JPEG")
    at = cmyk.index(b"\xff\xee\0\x0eAdobe")
    yield "cmyk-of-nobody.jpg", cmyk[:at] + cmyk[at + 16 :]
    profile = b"\nexif\n      62\n" + files.exif(6).hex().encode() + b"\n"
    packed = b"Raw profile type exif\0\0" + zlib.compress(profile)
    yield "packed-exif.png", files.with_chunk(files.FILES["rgb.png"], b"zTXt", packed)
    for name in ("rgb.bmp", "palette.gif", "lossless.webp", "animated.webp", "rgb.tif"):
        yield name, files.FILES[name]


FILES = {**dict(_png_files()), **dict(_more_png_files()), **dict(_jpeg_files())}
REFUSED = dict(_refused())


def graph(spec, most=MOST):
    """Returns the function from a file to the pixels that the model takes of it, 0 to 255."""
    function = tf.function(
        lambda contents: image_files.read(contents, "image_bytes", spec, most),
        [tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    return lambda content: 255 * function([content])[0].numpy()


def pillow(content, spec, most=MOST):
    spec = spec._replace(deep_values=spec.deep_values or ValueRange(0.0, 65535.0))
    with decode.limits(most):
        return preprocessing.prepare(decode.open_image(content, most, spec.shape[:2]), spec).astype(np.float64)


@pytest.fixture(scope="module")
def prepare():
    return graph(SPECS[0])


def differences(spec, contents):
    """Returns {name: (mean, largest difference)} of files, in levels of 255; of refused files what is said."""
    found, prepare = {}, graph(spec)
    for name, content in contents.items():
        expected = pillow(content, spec)
        try:
            difference = np.abs(prepare(content) - expected)
            found[name] = difference.mean(), difference.max()
        except tf.errors.InvalidArgumentError as error:
            found[name] = error.message
    return found


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec[:5])))
def test_files_are_prepared_as_in_training_or_refused(spec):
    assert len(FILES) > 200
    found = differences(spec, FILES | REFUSED)
    refused = {name: words for name, words in found.items() if isinstance(words, str)}
    assert set(refused) == set(REFUSED)
    assert all(" send " in words for words in refused.values())
    # Of the file, whose levels --black and --white may spread.
    most = 3.01 * 255 / (spec.values.white - spec.values.black if spec.values else 255)
    assert not {name: one for name, one in found.items() if name not in refused and (one[0] > 1 or one[1] > most)}


def test_alpha_of_few_bits_is_what_the_file_says():
    """TensorFlow gives opaque files of 1, 2 or 4 bits an alpha of 1, 3 or 15."""
    prepare = graph(ImageSpec(files.H, files.W, 4))
    for bits in (1, 2, 4):
        filler = 2**bits - 1
        opaque, faint = (files.png(bits, 3, False, alpha) for alpha in (b"", bytes([filler]) * 2**bits))
        assert (prepare(opaque)[..., 3] == 255).all() and (np.rint(prepare(faint)[..., 3]) == filler).all()


def test_orientations_are_told_apart():
    prepare = graph(ImageSpec(30, 30, 3))
    for kind in ("exif-{}-14x22.jpg", "exif-{}.png"):
        turned = [prepare(FILES[kind.format(number)]) for number in range(1, 9)]
        assert len({image.tobytes() for image in turned}) == 8


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "progressive.jpg", "exif-6.jpg"])
def test_a_decompression_bomb_is_refused_by_its_header(prepare, name):
    content = files.claiming(name, 20_000, 20_001)
    if name in ("rgb.jpg", "exif-6.jpg"):  # Of which an eighth of the size would be decoded.
        content = files.claiming(name, 60_000, 60_001)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="at most 40000000 pixels, got [26]0001 x [26]0000; send it"
    ):
        prepare(content)


def test_a_photograph_of_108_megapixels_is_read_and_its_progressive_twin_is_not(prepare):
    photo = Image.fromarray(files.smooth(3, 150, 200)).resize((12_000, 9_000), Image.Resampling.NEAREST)
    content = files.saved(photo, "JPEG", quality=60)
    assert np.abs(prepare(content) - pillow(content, SPECS[0])).max() <= 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 40000000 pixels, got 12000 x 9000"):
        prepare(files.saved(photo, "JPEG", quality=20, progressive=True))


def test_max_pixels_counts_what_is_decoded():
    spec = ImageSpec(8, 8, 3)
    exact, less = graph(spec, 14 * 22), graph(spec, 14 * 22 - 1)
    for name in ("rgb.png", "rgb.jpg", "progressive.jpg"):
        assert exact(files.FILES[name]).shape == (8, 8, 3)
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected at most 307 pixels, got 22 x 14"):
            less(files.FILES[name])
    for width, options in ((152, {}), (153, {}), (152, {"progressive": True})):  # An eighth: 16 x 19, or 16 x 20.
        large = files.saved(Image.fromarray(files.smooth(3, 128, width)), "JPEG", **options)
        if width == 152 and not options:
            assert less(large).shape == (8, 8, 3)
        else:
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most 307 pixels, got {width} x 128"):
                less(large)


def test_a_large_image_is_the_same_in_blocks(monkeypatch):
    content = files.saved(Image.fromarray(files.noise(237, 353, 4)), "PNG")
    spec = ImageSpec(20, 30, 4, "stretch")
    whole = graph(spec)(content)
    monkeypatch.setattr(image_preprocessing, "_BLOCK", 9000)
    np.testing.assert_array_equal(graph(spec)(content), whole)


def test_no_header_keeps_the_graph_busy(prepare):
    segments = files.FILES["rgb.jpg"][:2] + b"\xff\xfe\0\2" * 100_000
    scans = files.FILES["rgb.jpg"] + b"\xff\xda" * 1_000_000
    exif = files.with_chunk(files.FILES["rgb.png"], b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + b"\x12\1" * 1_000_000)
    prepare(exif)
    for content in (segments, scans):
        with pytest.raises(tf.errors.InvalidArgumentError):
            prepare(content)


@pytest.mark.parametrize("name", [name for name in files.BROKEN if name.endswith((".png", ".jpg"))])
def test_a_damaged_file_is_refused(prepare, name):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image_bytes\[0\]: expected"):
        prepare(files.BROKEN[name])
