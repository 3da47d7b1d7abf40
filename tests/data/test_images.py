"""Files of all kinds, decoded and prepared, against Pillow's reading of them."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps, PngImagePlugin

from tfvae.data import fitting, images

H, W = 14, 22  # Not square, so that a turn shows.


def smooth(channels, height=H, width=W, seed=0):
    """Returns uint8 [h, w, channels] without sharp edges, which JPEG keeps nearly as it is."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (4, 4, channels), dtype=np.uint8).squeeze())
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)


def noise(*shape, high=256, dtype=np.uint8):
    return np.random.default_rng(1).integers(0, high, shape, dtype=dtype)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def paletted(transparent):
    image = Image.new("P", (W, H))
    image.putpalette([value for k in range(8) for value in (k * 30, 255 - k * 20, k * k)])
    image.putdata(noise(H, W, high=8).ravel().tolist())
    return image, ({"transparency": 3} if transparent else {})


def frames(mode="RGB"):
    """Returns frames of flat colour with an opaque square elsewhere in each."""
    made = []
    for k in range(3):
        image = Image.new(mode, (W, H), (255, 40 * k, 0, 0) if mode == "RGBA" else (255, 40 * k, 0))
        image.paste((0, 0, 200 + k, 255) if mode == "RGBA" else (0, 0, 200 + k), (k, k, k + 6, k + 6))
        made.append(image)
    return made


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(smooth(3)), "JPEG", quality=95, exif=exif.tobytes())


def little_endian_exif():
    """Returns a JPEG file of orientation 6 with an Intel-ordered EXIF of two tags, after a comment segment."""
    entries = struct.pack("<HHII", 0x0110, 2, 4, 0x64636261) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    plain = saved(Image.fromarray(smooth(3)), "JPEG", quality=95)
    comment = b"\xff\xfe" + struct.pack(">H", 6) + b"tfva"
    return plain[:2] + comment + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]


def cmyk():
    return Image.merge("CMYK", [Image.fromarray(smooth(1, seed=k)[..., 0]) for k in range(4)])


def make_files():
    """Returns {name: (file content, largest allowed difference from Pillow's reading)}."""
    rgb, rgba = Image.fromarray(noise(H, W, 3)), Image.fromarray(noise(H, W, 4))
    grey = Image.fromarray(noise(H, W))
    files = {
        "grey.png": (saved(grey, "PNG"), 0),
        "bilevel.png": (saved(grey.convert("1"), "PNG"), 0),
        "grey-alpha.png": (saved(rgba.convert("LA"), "PNG"), 0),
        "rgb.png": (saved(rgb, "PNG"), 0),
        "rgba.png": (saved(rgba, "PNG"), 0),
        "rgb-transparent-colour.png": (saved(rgb, "PNG", transparency=rgb.getpixel((3, 2))), 0),
        "16-bit-grey.png": (saved(Image.fromarray(noise(H, W, high=65536, dtype=np.uint16)), "PNG"), 1),
        "one-pixel.png": (saved(rgb.resize((1, 1)), "PNG"), 0),
        "animated.png": (saved(frames()[0], "PNG", save_all=True, append_images=frames()[1:]), 0),
        "palette.bmp": (saved(paletted(False)[0], "BMP"), 0),
        "grey.bmp": (saved(grey, "BMP"), 0),
        "rgb.bmp": (saved(rgb, "BMP"), 0),
        "rgba.bmp": (saved(rgba, "BMP"), 0),
        # TensorFlow and Pillow link the same JPEG library; both transforms are exact to one grey level.
        "grey.jpg": (saved(Image.fromarray(smooth(1)[..., 0]), "JPEG", quality=90), 1),
        "rgb.jpg": (saved(Image.fromarray(smooth(3)), "JPEG", quality=90), 1),
        "progressive.jpg": (saved(Image.fromarray(smooth(3)), "JPEG", progressive=True), 1),
        "cmyk.jpg": (saved(cmyk(), "JPEG", quality=95), 2),
        "intel-exif.jpg": (little_endian_exif(), 1),
        "palette.gif": (saved(paletted(False)[0], "GIF"), 0),
        "transparent.gif": (saved(paletted(True)[0], "GIF", transparency=3), 0),
        "animated.gif": (saved(frames()[0], "GIF", save_all=True, append_images=frames()[1:], duration=50), 0),
        "animated-transparent.gif": (
            saved(frames("RGBA")[0], "GIF", save_all=True, append_images=frames("RGBA")[1:], comment=b"a comment"), 0),
        "lossless.webp": (saved(rgb, "WEBP", lossless=True), 0),
        "lossless-alpha.webp": (saved(rgba, "WEBP", lossless=True, exact=True), 0),
        "lossy.webp": (saved(Image.fromarray(smooth(3)), "WEBP", quality=90), 1),
        "animated.webp": (
            saved(frames()[0], "WEBP", save_all=True, append_images=frames()[1:], lossless=True, duration=50), 0),
    }  # fmt: skip
    moving = [Image.new("RGBA", (W, H)) for _ in range(3)]
    for k, frame in enumerate(moving):  # Frames that cover a part of the canvas only.
        frame.paste((200, 30 * k, 0, 255), (4 + k, 2, 14, 9 + k))
    rest = {"save_all": True, "append_images": moving[1:], "duration": 50}
    files["moving-lossless.webp"] = (saved(moving[0], "WEBP", lossless=True, **rest), 0)
    faded = [Image.fromarray(smooth(4, seed=k)) for k in range(3)]
    rest = {"save_all": True, "append_images": faded[1:], "duration": 50}
    files["animated-alpha.webp"] = (saved(faded[0], "WEBP", quality=95, **rest), 2)
    for bits in (1, 2, 4):
        image = Image.new("P", (W, H))
        image.putpalette([value for k in range(1 << bits) for value in (k * 10, 255 - k * 9, k * 3)])
        image.putdata(noise(H, W, high=1 << bits).ravel().tolist())
        files[f"palette-{bits}-bits.png"] = (saved(image, "PNG", bits=bits), 0)
        files[f"palette-{bits}-bits-transparent.png"] = (saved(image, "PNG", bits=bits, transparency=1), 0)
    for transparent in (False, True):
        image, options = paletted(transparent)
        files[f"palette{'-transparent' * transparent}.png"] = (saved(image, "PNG", **options), 0)
    for orientation in range(1, 9):
        files[f"exif-{orientation}.jpg"] = (oriented(orientation), 1)
    return files


FILES = make_files()
BROKEN = {
    "empty.png": b"",
    "text.png": b"This is no image, whatever its name says.\n",
    "truncated.png": FILES["rgb.png"][0][:-200],
    "truncated.jpg": FILES["rgb.jpg"][0][:-300],
    "truncated.gif": FILES["palette.gif"][0][:40],
    "truncated.bmp": FILES["rgb.bmp"][0][:-10],
    "truncated.webp": FILES["lossless.webp"][0][:-200],
    "truncated-animation.webp": FILES["moving-lossless.webp"][0][:60],
    "frameless.webp": FILES["animated.webp"][0][:40],
    "signature-only.png": b"\x89PNG\r\n\x1a\n",
    "signature-only.jpg": b"\xff\xd8\xff\xe1",
    "signature-only.gif": b"GIF89a",
    "signature-only.bmp": b"BM",
    "4-bits.bmp": FILES["palette.bmp"][0][:28] + b"\4" + FILES["palette.bmp"][0][29:],
}


def pillow_rgba(content):
    """Returns Pillow's reading of the first frame, upright, as uint8 [h, w, 4]."""
    with Image.open(io.BytesIO(content)) as opened:
        if opened.mode.startswith("I"):
            grey = (np.asarray(opened).astype(np.uint32) >> 8).astype(np.uint8)
            return np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGBA"))


@pytest.fixture(scope="module")
def decode():
    """`images.decode` as one graph, as training and exports run it."""
    return tf.function(images.decode, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_read_as_pillow_reads_it(decode, name):
    content, tolerance = FILES[name]
    expected, found = pillow_rgba(content).astype(int), decode(content).numpy().astype(int)
    if found.shape[-1] == 3:
        found = np.pad(found, [[0, 0], [0, 0], [0, 1]], constant_values=255)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found[..., 3], expected[..., 3])
    shown = expected[..., 3] > 0  # The colour of what is fully transparent is nobody's business.
    assert np.abs(found - expected)[shown].max(initial=0) <= tolerance


def test_the_name_of_a_chunk_in_a_text_hides_no_image(decode):
    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", "tRNS")
    content = saved(Image.new("1", (W, H), 1), "PNG", pnginfo=comment)
    assert b"tRNS" in content
    np.testing.assert_array_equal(decode(content)[..., :3], pillow_rgba(content)[..., :3])
    assert (decode(content)[..., 3:].numpy() == 255).all()


def test_the_orientations_of_the_files_differ(decode):
    turned = {decode(FILES[f"exif-{orientation}.jpg"][0]).numpy().tobytes() for orientation in range(1, 9)}
    assert len(turned) == 8


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_file_is_an_error(decode, name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(BROKEN[name])


def claiming(name, height, width):
    """Returns a file of `FILES` whose header says another size than its pixels have."""
    content = FILES[name][0]

    def put(at, packed):
        return content[:at] + packed + content[at + len(packed) :]

    kind = name.split(".")[-1]
    if kind == "png":
        return put(16, struct.pack(">II", width, height))
    if kind == "bmp":
        return put(18, struct.pack("<ii", width, height))
    if kind == "gif":
        return put(content.index(b"\x2c\0\0\0\0") + 5, struct.pack("<HH", width, height))
    if kind == "jpg":
        frame = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        return put(frame + 5, struct.pack(">HH", height, width))
    if content[12:16] == b"VP8X":
        return put(24, (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))
    if content[12:16] == b"VP8L":
        return put(21, (width - 1 | (height - 1) << 14).to_bytes(4, "little"))
    return put(26, struct.pack("<HH", width, height))


@pytest.mark.parametrize(
    "name",
    ["rgb.png", "rgb.jpg", "progressive.jpg", "exif-6.jpg", "palette.gif", "animated-transparent.gif", "rgb.bmp"]
    + ["lossless.webp", "lossy.webp", "animated.webp"],
)
def test_a_decompression_bomb_is_refused_by_its_header(decode, name):
    height, width = (16_383, 16_000) if name in ("lossless.webp", "lossy.webp") else (20_000, 20_001)
    content, most = claiming(name, height, width), 44_000_000 if name.endswith("jpg") else 22_000_000
    assert content != FILES[name][0] and len(content) == len(FILES[name][0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"most {most} pixels, got {width} x {height}"):
        decode(content)


def test_a_whole_file_of_400_million_pixels_is_refused(decode):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 22000000 pixels, got 20000 x 20000"):
        decode(saved(Image.new("1", (20_000, 20_000)), "PNG"))


def test_every_kind_of_file_is_held_to_the_largest_size():
    def decoding(most):
        return tf.function(lambda content: images.decode(content, most), [tf.TensorSpec([], tf.string)], False)

    limits = {False: (H * W, H * W - 1), True: (H * W // 2, H * W // 2 - 1)}
    decoders = {is_jpeg: [decoding(most) for most in pair] for is_jpeg, pair in limits.items()}
    for name, (content, _) in FILES.items():
        if name == "one-pixel.png":
            continue
        is_jpeg = name.endswith("jpg")  # Which may have twice as many.
        (exact, less), most = decoders[is_jpeg], limits[is_jpeg][1] * (1 + is_jpeg)
        assert exact(content).shape[0] in (H, W), name
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"expected at most {most} pixels, got "):
            less(content)


def test_only_the_first_frame_of_a_gif_is_looked_at(decode):
    content = FILES["animated.gif"][0]
    second = content.index(b"\x2c", content.index(b"\x21\xf9", content.index(b"\x2c") + 1))
    bomb = content[: second + 5] + struct.pack("<HH", 60_000, 60_000) + content[second + 9 :]
    np.testing.assert_array_equal(decode(bomb), decode(content))


def test_a_frame_larger_than_its_canvas_is_refused(decode):
    content = FILES["moving-lossless.webp"][0]
    size = content.index(b"VP8L") + 9
    bomb = content[:size] + (16_382 | 16_382 << 14).to_bytes(4, "little") + content[size + 4 :]
    with pytest.raises(tf.errors.InvalidArgumentError, match="within the canvas"):
        decode(bomb)


def test_no_header_keeps_the_decoder_busy(decode):
    still = FILES["animated.webp"][0]
    endless = still[:30] + b"XXXX" + struct.pack("<I", 2**31 - 1) + b"\0" * 100
    blocks = FILES["palette.gif"][0][:-1] + b"\1\1" * 100_000
    extensions = FILES["palette.gif"][0][: 13 + 24] + b"\x21\xfe\0" * 100_000
    segments = FILES["rgb.jpg"][0][:2] + b"\xff\xfe\0\2" * 100_000
    for content in (endless, extensions, segments):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(content)
    decode(blocks)  # What follows the first frame is not looked at.


def composited(rgba, background):
    alpha = rgba[..., 3:].astype(np.float64) / 255
    return rgba[..., :3] * alpha + np.array(background) * (1 - alpha)


def pillow_resized(pixels, height, width):
    """Returns float [height, width, 3]: Pillow's antialiased bilinear resize, a channel at a time in floats."""
    planes = [Image.fromarray(pixels[..., k].astype(np.float32)) for k in range(3)]
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes], axis=-1)


def oracle(rgba, height, width, channels, fit, background):
    """`fitting.prepare` in NumPy and Pillow."""
    image = composited(rgba, background)
    h, w = image.shape[:2]
    if fit == "crop":
        new_h, new_w = min(h, round(w * height / width)), min(w, round(h * width / height))
        top, left = (h - new_h) // 2, (w - new_w) // 2
        image = pillow_resized(image[top : top + new_h, left : left + new_w], height, width)
    elif fit == "stretch":
        image = pillow_resized(image, height, width)
    else:
        scale = min(height / h, width / w)
        new_h, new_w = max(1, round(h * scale)), max(1, round(w * scale))
        canvas = np.broadcast_to(np.array(background, np.float64), (height, width, 3)).copy()
        top, left = (height - new_h) // 2, (width - new_w) // 2
        canvas[top : top + new_h, left : left + new_w] = pillow_resized(image, new_h, new_w)
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
        ((1, 1), (8, 9)),
    ],
)
def test_prepare_is_what_pillow_makes_of_it(fit, size, wanted):
    rgba = np.random.default_rng(0).integers(0, 256, (*size, 4), dtype=np.uint8)
    for channels in (1, 3):
        expected = oracle(rgba, *wanted, channels, fit, (250, 100, 0))
        found = fitting.prepare(tf.constant(rgba), *wanted, channels, fit, (250, 100, 0)).numpy()
        assert found.dtype == np.uint8 and found.shape == (*wanted, channels)
        assert np.abs(found.astype(int) - expected).max() <= 1
        batch = tf.constant(np.stack([rgba, rgba[::-1]]))
        np.testing.assert_array_equal(fitting.prepare(batch, *wanted, channels, fit, (250, 100, 0))[0], found)
        opaque = np.concatenate([rgba[..., :3], np.full_like(rgba[..., :1], 255)], axis=-1)
        expected = oracle(opaque, *wanted, channels, fit, (250, 100, 0))
        for image in (opaque, opaque[..., :3]):
            found = fitting.prepare(tf.constant(image), *wanted, channels, fit, (250, 100, 0)).numpy()
            assert np.abs(found.astype(int) - expected).max() <= 1


def test_an_opaque_image_of_the_size_wanted_is_left_alone():
    rgba = np.concatenate([noise(10, 12, 3), np.full((10, 12, 1), 255, np.uint8)], axis=-1)
    for fit in ("crop", "pad", "stretch"):
        found = fitting.prepare(tf.constant(rgba), 10, 12, 3, fit, (0, 0, 0)).numpy()
        np.testing.assert_array_equal(found, rgba[..., :3])


def test_grey_stays_grey_and_hidden_colours_do_not_bleed():
    grey = np.repeat(noise(10, 10, 1), 3, axis=-1)
    opaque = np.concatenate([grey, np.full((10, 10, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(fitting.prepare(tf.constant(opaque), 10, 10, 1, "crop", (0, 0, 0)), grey[..., :1])
    hidden = np.zeros((20, 20, 4), np.uint8)
    hidden[..., 0] = 255  # Red, but nowhere visible.
    found = fitting.prepare(tf.constant(hidden), 8, 8, 3, "crop", (255, 255, 255)).numpy()
    assert (found == 255).all()


@pytest.mark.parametrize(
    "size, wanted, ratio",
    [
        ((400, 528), (20, 25), 8),
        ((400, 528), (50, 40), 4),
        ((400, 528), (60, 100), 2),
        ((400, 528), (101, 40), 1),
        ((401, 528), (20, 25), 1),
    ],
)
def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size_and_looks_the_same(size, wanted, ratio):
    picture = Image.fromarray(noise(4, 5, 3)).resize(size[::-1], Image.Resampling.BICUBIC)
    content = tf.constant(saved(picture, "JPEG", quality=95))
    whole, reduced = images.decode(content), images.decode(content, wanted=wanted)
    assert whole.shape == (*size, 3) and reduced.shape == (size[0] // ratio, size[1] // ratio, 3)
    for fit in ("crop", "pad", "stretch"):
        one, other = (
            fitting.prepare(image, *wanted, 3, fit, (0, 0, 0)).numpy().astype(int) for image in (whole, reduced)
        )
        assert np.abs(one - other).mean() < 1 and np.abs(one - other).max() <= 5


def test_a_large_image_with_alpha_is_the_same_in_blocks(monkeypatch):
    rgba = np.random.default_rng(0).integers(0, 256, (2, 37, 53, 4), np.uint8)
    whole = fitting.prepare(rgba, 12, 20, 3, "crop", (255, 0, 40)).numpy()
    monkeypatch.setattr(fitting, "_BLOCK", 100)
    np.testing.assert_array_equal(fitting.prepare(rgba, 12, 20, 3, "crop", (255, 0, 40)).numpy(), whole)
