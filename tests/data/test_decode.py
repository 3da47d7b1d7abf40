"""Files of all kinds as Pillow images: identified by content, held to limits, the first frame as a viewer shows it."""

import io
import struct

import image_files
import numpy as np
import pytest
from image_files import FILES, H, W
from PIL import Image, ImageOps

from tfvae import config
from tfvae.data import decode, preprocessing
from tfvae.data.preprocessing import ImageSpec
from tfvae.data.value_range import ValueRange

MOST = config.DataConfig.max_pixels


def opened(content, most=MOST, **options):
    with decode.limits(most):
        return decode.open_image(content, most, **options)


def prepared(content, spec, most=MOST):
    with decode.limits(most):
        return preprocessing.prepare(decode.open_image(content, most, spec.shape[:2]), spec)


def in_folder(tmp_path, name, content):
    """Returns the path of a file with this name: some formats are taken by their names alone."""
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_read_upright(tmp_path, name):
    with Image.open(io.BytesIO(FILES[name])) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    decoded = opened(in_folder(tmp_path, name, FILES[name]))
    assert decoded.size == expected.shape[1::-1]
    if preprocessing.is_deep(decoded.image):
        assert preprocessing.values_of(decoded.image).max() > 255
    else:
        np.testing.assert_array_equal(np.asarray(decoded.upright().convert("RGBA")), expected)


def test_the_orientations_of_the_files_differ():
    turned = {np.asarray(opened(FILES[f"exif-{number}.jpg"]).upright()).tobytes() for number in range(1, 9)}
    assert len(turned) == 8


@pytest.mark.parametrize("name", image_files.BROKEN)
def test_a_damaged_file_is_an_error(tmp_path, name):
    with pytest.raises((decode.NotAnImage, decode.Unreadable)) as error:
        opened(in_folder(tmp_path, name, image_files.BROKEN[name]))
    assert str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["rgb.png", "progressive.jpg", "palette.gif", "animated-transparent.gif", "rgb.bmp", "lossless.webp", "lossy.webp"]
    + ["animated.webp"],
)
def test_a_decompression_bomb_is_refused_by_its_header(name):
    height, width = (16_383, 16_000) if name in ("lossless.webp", "lossy.webp") else (20_000, 20_001)
    with pytest.raises(decode.Unreadable, match="expected at most 50,000,000 pixels, got"):
        opened(image_files.claiming(name, height, width))


def test_a_whole_file_of_400_million_pixels_is_refused():
    with pytest.raises(decode.Unreadable, match="at most 50,000,000 pixels, got"):
        opened(image_files.saved(Image.new("1", (20_000, 20_000)), "PNG"))


def test_only_the_first_frame_is_looked_at():
    content = FILES["animated.gif"]
    second = content.index(b"\x2c", content.index(b"\x21\xf9", content.index(b"\x2c") + 1))
    bomb = content[: second + 5] + struct.pack("<HH", 60_000, 60_000) + content[second + 9 :]
    np.testing.assert_array_equal(np.asarray(opened(bomb).image), np.asarray(opened(content).image))
    assert opened(FILES["moving-lossless.webp"]).image.size == (W, H)  # The canvas, of which a frame covers a part.


def test_no_header_keeps_the_decoder_busy():
    blocks = FILES["palette.gif"][:-1] + b"\1\1" * 100_000
    opened(blocks)  # What follows the first frame is not looked at.
    segments = FILES["rgb.jpg"][:2] + b"\xff\xfe\0\2" * 100_000
    extensions = FILES["palette.gif"][: 13 + 24] + b"\x21\xfe\0" * 100_000
    for content in (segments, extensions):
        with pytest.raises((decode.NotAnImage, decode.Unreadable)):
            opened(content)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_colour_key_of_few_bits_is_that_of_the_file(bits):
    opaque = image_files.png(bits, 0)
    key = (np.asarray(opened(opaque).image.convert("L")) // (255 // (2**bits - 1)) == 1)  # fmt: skip
    transparent = opened(image_files.png(bits, 0, transparency=struct.pack(">H", 1)))
    assert key.any() and not key.all()
    np.testing.assert_array_equal(np.asarray(transparent.image.convert("RGBA"))[..., 3] == 0, key)


def test_the_colour_key_of_16_bits_is_that_of_the_file():
    content = image_files.png(16, 2)
    red, green, blue = opened(content).image.getpixel((3, 2))
    for low in (0, 255):
        key = struct.pack(">HHH", red << 8 | low, green << 8 | low, blue << 8 | low)
        alpha = np.asarray(opened(image_files.png(16, 2, transparency=key)).image.convert("RGBA"))[..., 3]
        assert alpha[2, 3] == 0 and (alpha == 255).sum() == alpha.size - 1


@pytest.mark.parametrize(
    ("size", "wanted", "ratio"),
    [
        ((400, 528), (20, 25), 8),
        ((400, 528), (50, 40), 4),
        ((400, 528), (60, 100), 2),
        ((400, 528), (101, 40), 1),
        ((401, 533), (20, 25), 8),
    ],
)
def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same(size, wanted, ratio):
    picture = Image.fromarray(image_files.noise(4, 5, 3)).resize(size[::-1], Image.Resampling.BICUBIC)
    content = image_files.saved(picture, "JPEG", quality=95)
    whole, reduced = opened(content), opened(content, wanted=wanted)
    assert reduced.image.size == tuple(-(-side // ratio) for side in size[::-1])
    assert whole.size == reduced.size == size[::-1]
    for fit in ("crop", "pad", "stretch"):
        spec = ImageSpec(*wanted, 3, fit)
        one, other = (preprocessing.prepare(decoded, spec).astype(int) for decoded in (whole, reduced))
        assert np.abs(one - other).mean() < 1 and np.abs(one - other).max() <= 5


def composited(rgba, background):
    alpha = rgba[..., 3:].astype(np.float64) / 255
    return rgba[..., :3] * alpha + np.array(background) * (1 - alpha)


def resized(pixels, height, width, box=None):
    """Returns float [height, width, 3]: Pillow's antialiased bilinear resize, a channel at a time in floats."""
    planes = [Image.fromarray(pixels[..., k].astype(np.float32)) for k in range(3)]
    planes = [plane.resize((width, height), Image.Resampling.BILINEAR, box) for plane in planes]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def oracle(rgba, spec):
    """`preprocessing.prepare` in floats: composited first, resized at once."""
    height, width, channels = spec.shape
    image = composited(rgba, spec.background)
    h, w = image.shape[:2]
    if spec.fit == "crop":
        new_h, new_w = min(h, w * height / width), min(w, h * width / height)
        box = ((w - new_w) / 2, (h - new_h) / 2, (w + new_w) / 2, (h + new_h) / 2)
        image = resized(image, height, width, box)
    elif spec.fit == "stretch":
        image = resized(image, height, width)
    else:
        scale = min(height / h, width / w)
        new_h, new_w = max(1, round(h * scale)), max(1, round(w * scale))
        canvas = np.broadcast_to(np.array(spec.background, np.float64), (height, width, 3)).copy()
        top, left = (height - new_h) // 2, (width - new_w) // 2
        canvas[top : top + new_h, left : left + new_w] = resized(image, new_h, new_w)
        image = canvas
    if channels == 1:
        image = image @ np.array([[0.299], [0.587], [0.114]])
    return np.clip(np.round(image), 0, 255)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(
    "size, wanted",
    [
        ((40, 30), (12, 12)),
        ((30, 40), (12, 8)),
        ((9, 9), (9, 9)),
        ((10, 7), (16, 20)),
        ((100, 3), (8, 8)),
        ((300, 500), (8, 12)),
        ((1, 1), (8, 9)),
    ],
)
def test_an_image_is_composited_and_resized(fit, size, wanted):
    rgba = np.random.default_rng(0).integers(0, 256, (*size, 4), dtype=np.uint8)
    opaque = np.concatenate([rgba[..., :3], np.full_like(rgba[..., :1], 255)], axis=-1)
    for channels in (1, 3):
        spec = ImageSpec(*wanted, channels, fit, background=(250, 100, 0))
        for pixels in (rgba, opaque):
            found = prepared(image_files.saved(Image.fromarray(pixels), "PNG"), spec)
            assert found.dtype == np.uint8 and found.shape == spec.shape
            difference = np.abs(found.astype(int) - oracle(pixels, spec))
            # Noise of 3 pixels' width is where the means that come before a resize to less than a third cost most.
            assert difference.mean() < 2 and difference.max() <= (6 if size == (100, 3) else 3)


def test_an_opaque_image_of_the_size_wanted_is_left_alone():
    pixels = image_files.noise(10, 12, 3)
    for fit, resize_filter in (("crop", "bilinear"), ("pad", "lanczos"), ("stretch", "nearest")):
        found = prepared(image_files.saved(Image.fromarray(pixels), "PNG"), ImageSpec(10, 12, 3, fit, resize_filter))
        np.testing.assert_array_equal(found, pixels)


def test_grey_stays_grey_and_hidden_colours_do_not_bleed():
    grey = image_files.noise(10, 10)
    found = prepared(image_files.saved(Image.fromarray(np.stack([grey] * 3, -1)), "PNG"), ImageSpec(10, 10, 1))
    np.testing.assert_array_equal(found[..., 0], grey)
    hidden = np.zeros((20, 20, 4), np.uint8)
    hidden[..., 0] = 255  # Red, but nowhere visible.
    content = image_files.saved(Image.fromarray(hidden), "PNG")
    assert (prepared(content, ImageSpec(8, 8, 3)) == 255).all()
    assert not prepared(content, ImageSpec(8, 8, 4)).any()


def test_four_channels_are_colours_times_alpha_and_alpha():
    rgba = image_files.noise(9, 7, 4)
    found = prepared(image_files.saved(Image.fromarray(rgba), "PNG"), ImageSpec(9, 7, 4))
    np.testing.assert_array_equal(found[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(found[..., :3], np.round(rgba[..., :3] * (rgba[..., 3:] / 255)))


def test_black_and_white_are_what_the_spec_says():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    spec = ImageSpec(16, 16, 1, values=ValueRange(50, 150), deep_values=ValueRange(1000, 2000))
    found = prepared(image_files.saved(Image.fromarray(levels), "PNG"), spec)[..., 0]
    np.testing.assert_array_equal(found, np.rint(np.clip((levels.astype(float) - 50) * 2.55, 0, 255)))
    deep = 950 + 5 * levels.astype(np.uint16)
    found = prepared(image_files.saved(Image.fromarray(deep), "PNG"), spec)[..., 0]
    np.testing.assert_array_equal(found, np.rint(np.clip((deep.astype(float) - 1000) * 0.255, 0, 255)))


def test_a_client_sends_png_or_jpeg(tmp_path):
    for name in ("rgb.png", "rgb.jpg"):
        assert decode.as_png_or_jpeg(in_folder(tmp_path, name, FILES[name])) == FILES[name]
    for name in ("animated.webp", "transparent.gif", "rgb.tif", "rgba.bmp", "rgb.ppm"):
        path = in_folder(tmp_path, name, FILES[name])
        sent = opened(decode.as_png_or_jpeg(path)).image
        assert sent.format == "PNG"
        np.testing.assert_array_equal(np.asarray(sent.convert("RGBA")), np.asarray(opened(path).image.convert("RGBA")))
    with pytest.raises(config.UserError, match="none.png: expected an image file, got none that Pillow reads"):
        decode.as_png_or_jpeg(in_folder(tmp_path, "none.png", b"nothing"))
