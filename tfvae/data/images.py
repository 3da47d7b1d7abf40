"""Image files to pixels, as TensorFlow graphs: training decodes with these functions, and so do exported models.

No Python runs in them and no XLA-only or stateful operation, so they work in any TensorFlow runtime.
"""

import functools

import tensorflow as tf

from tfvae.data import containers, webp

MOST_PIXELS = 22_000_000  # Of an image, unless `max_pixels` says otherwise: for one to take less than 512 MB.


def _apart(function):
    """Makes `function` a graph function that is not inlined.

    Inlined, each image pays for the hundreds of nodes of the formats that it does not have.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def _head(image_bytes, length):
    """Returns the first bytes of a file, with zeros behind them where it is shorter."""
    return tf.strings.substr(tf.strings.join([image_bytes, b"\0" * length]), 0, length)


def _contains(image_bytes, word):
    # As a replacement, for to search is several times as fast as to match a whole file.
    without = tf.strings.regex_replace(image_bytes, word, "", replace_global=False)
    return tf.strings.length(without) < tf.strings.length(image_bytes)


def _decode_png(image_bytes):
    header = tf.cast(tf.io.decode_raw(_head(image_bytes, 32), tf.uint8), tf.int32)
    bits, colour_type = header[24], header[25]
    may_be_transparent = (colour_type >= 4) | _contains(image_bytes, "tRNS")

    def transparent():
        image = tf.io.decode_png(image_bytes, channels=4)
        # Of 1, 2 or 4 bits a sample, TensorFlow fills up a missing alpha with 1, 3 or 15 rather than with 255.
        filler = tf.cast(tf.bitwise.left_shift(1, tf.minimum(bits, 8)) - 1, tf.uint8)
        no_alpha = tf.cond(bits < 8, lambda: tf.reduce_all(image[..., 3] == filler), lambda: False)
        return tf.cond(no_alpha, lambda: image[..., :3], lambda: image)

    return tf.cond(may_be_transparent, transparent, lambda: tf.io.decode_png(image_bytes, channels=3))


def _upright(image, orientation):
    """Undoes an EXIF orientation, 1 to 8, of [h, w, 3]."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    left_right = tf.reduce_any(orientation == [2, 3, 6, 7])
    upside_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    image = tf.cond(left_right, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(upside_down, lambda: tf.reverse(image, [0]), lambda: image)


@_apart
def _turned(image, image_bytes):
    return _upright(image, containers.jpeg_orientation(image_bytes))


@_apart
def _decode_jpeg(image_bytes, wanted):
    def decoded(ratio):
        # The accurate transform, which Pillow uses too; TensorFlow's default is a faster approximation.
        return tf.io.decode_jpeg(image_bytes, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if wanted is None:
        rgb = decoded(1)
    else:
        # The transform itself gives means of 2, 4 or 8 pixels a side, in less time: where these divide the sides, and
        # leave twice the size wanted, so that the resize that follows has the last word.
        sides, ratios = tf.io.extract_jpeg_shape(image_bytes)[:2], tf.constant([2, 4, 8])
        fits = (tf.reduce_min(sides) >= 2 * max(wanted) * ratios) & tf.reduce_all(sides[:, tf.newaxis] % ratios == 0, 0)
        halvings = tf.reduce_sum(tf.cast(fits, tf.int32))
        rgb = tf.switch_case(halvings, [functools.partial(decoded, ratio) for ratio in (1, 2, 4, 8)])
    # Looked for first, for to walk through the segments takes longer than to decode a small file.
    has_exif = _contains(tf.strings.substr(image_bytes, 0, 1 << 19), "Exif")
    return tf.cond(has_exif, lambda: _turned(rgb, image_bytes), lambda: rgb)


@_apart
def _decode_gif(image_bytes):
    """The first frame. A pixel that depends on the colour put in the place of the transparent one is transparent."""
    dark, light = containers.gif_transparency_replaced(image_bytes)
    on_dark = tf.io.decode_image(dark, channels=3, expand_animations=False)
    on_light = tf.io.decode_image(light, channels=3, expand_animations=False)
    on_dark, on_light = tf.ensure_shape(on_dark, [None, None, 3]), tf.ensure_shape(on_light, [None, None, 3])
    alpha = tf.where(tf.reduce_any(on_dark != on_light, axis=-1, keepdims=True), 0, 255)
    return tf.concat([on_dark, tf.cast(alpha, tf.uint8)], axis=-1)


@_apart
def _decode_webp(image_bytes):
    return webp.decode(image_bytes)


@_apart
def _decode_bmp(image_bytes):
    return containers.decode_bmp(image_bytes)


def _png_size(image_bytes):
    header = tf.cast(tf.io.decode_raw(_head(image_bytes, 24), tf.uint8), tf.int64)
    return tuple(tf.reduce_sum(header[at : at + 4] * [1 << 24, 1 << 16, 1 << 8, 1]) for at in (20, 16))


@_apart
def _jpeg_size(image_bytes):
    # By the decoder's own library, so that both read the same header.
    return tuple(tf.unstack(tf.io.extract_jpeg_shape(containers.few_jpeg_scans(image_bytes))[:2]))


@_apart
def _gif_size(image_bytes):
    return containers.gif_size(image_bytes)


@_apart
def _webp_size(image_bytes):
    return webp.size(image_bytes)


@_apart
def _bmp_size(image_bytes):
    return containers.bmp_size(image_bytes)


def _by_kind(image_bytes, png, jpeg, gif, bmp, webp, other):
    """Returns what the function for this kind of file makes of it."""
    head = _head(image_bytes, 16)

    def is_kind(text, at=0):
        return tf.strings.substr(head, at, len(text)) == text

    return tf.case(
        [
            (is_kind(b"\x89PNG"), lambda: png(image_bytes)),
            (is_kind(b"\xff\xd8\xff"), lambda: jpeg(image_bytes)),
            (is_kind(b"GIF8"), lambda: gif(image_bytes)),
            (is_kind(b"BM"), lambda: bmp(image_bytes)),
            (is_kind(b"RIFF") & is_kind(b"WEBP", at=8), lambda: webp(image_bytes)),
        ],
        default=lambda: other(image_bytes),
    )


def complaint(image_bytes, max_pixels=MOST_PIXELS):
    """Says by its header why an image file is refused, before anything of it is decoded.

    Args:
        image_bytes: Scalar string, the file's content.
        max_pixels: Height times width of the largest image (of an animation, frame) that is accepted; twice for JPEG.

    Returns:
        Scalar string; empty where the file may be decoded, which can still find it damaged.

    Raises:
        tf.errors.InvalidArgumentError: If it is a JPEG file with a damaged header.
    """

    def as_int64(size):
        def cast(image_bytes):
            height, width = size(image_bytes)
            return tf.cast(height, tf.int64), tf.cast(width, tf.int64)

        return cast

    def unknown(_):
        return tf.constant(-1, tf.int64), tf.constant(-1, tf.int64)

    sizes = map(as_int64, (_png_size, _jpeg_size, _gif_size, _bmp_size, _webp_size))
    height, width = _by_kind(image_bytes, *sizes, unknown)
    text = tf.strings.as_string
    length = text(tf.strings.length(image_bytes))
    no_image = tf.strings.join(["expected an image file (PNG, JPEG, GIF, BMP or WebP), got none in ", length, " bytes"])
    no_size = tf.strings.join(["expected an image of at least one pixel, got ", text(width), " x ", text(height)])
    most = tf.where(_head(image_bytes, 3) == b"\xff\xd8\xff", tf.constant(2 * max_pixels, tf.int64), max_pixels)
    too_large = tf.strings.join(["expected at most ", text(most), " pixels, got ", text(width), " x ", text(height)])
    return tf.case(
        [
            ((height < 0) & (width < 0), lambda: no_image),
            ((height < 1) | (width < 1), lambda: no_size),
            # Divided, for a product of two header fields may overflow.
            (height > most // tf.maximum(width, 1), lambda: too_large),
        ],
        default=lambda: tf.constant(""),
    )


def decode(image_bytes, max_pixels=MOST_PIXELS, wanted=None):
    """Decodes one image file: PNG, JPEG (turned upright), GIF, BMP or WebP; of an animation the first frame.

    Args:
        image_bytes: Scalar string, the file's content.
        max_pixels: Height times width of the largest image that is decoded; None where `complaint` had none.
        wanted: (height, width) that `fitting.prepare` will make of it: a much larger JPEG file is decoded at a half, a
            quarter or an eighth of its size. None: at its own size.

    Returns:
        [h, w, 4] uint8 RGBA, colours not multiplied by alpha; [h, w, 3] RGB of a file without transparency.

    Raises:
        tf.errors.InvalidArgumentError: If it is no such file, or damaged, or larger.
    """
    image_bytes = tf.convert_to_tensor(image_bytes)
    if max_pixels is not None:
        words = complaint(image_bytes, max_pixels)
        accepted = tf.debugging.Assert(words == "", [words])
        with tf.control_dependencies([accepted] if accepted is not None else []):
            image_bytes = tf.identity(image_bytes)

    def unknown(_):
        return tf.zeros([1, 1, 3], tf.uint8)

    jpeg = functools.partial(_decode_jpeg, wanted=wanted)
    image = _by_kind(image_bytes, _decode_png, jpeg, _decode_gif, _decode_bmp, _decode_webp, unknown)
    return tf.ensure_shape(image, [None, None, None])
