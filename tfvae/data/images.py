"""Image files to pixels, as TensorFlow graphs: training decodes with these functions, and so do exported models.

No Python runs in them and no XLA-only or stateful operation, so they work in any TensorFlow runtime.
"""

import functools

import tensorflow as tf

from tfvae.data import containers, webp

MOST_PIXELS = 22_000_000  # Of an image, unless `max_pixels` says otherwise: for one to take less than 512 MB.
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L").


def _apart(function):
    """Makes `function` a graph function that is not inlined.

    Inlined, each image pays for the hundreds of nodes of the formats that it does not have.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def _opaque(rgb):
    return tf.concat([rgb, tf.fill([*tf.unstack(tf.shape(rgb)[:2]), 1], tf.constant(255, tf.uint8))], axis=-1)


def _head(image_bytes, length):
    """Returns the first bytes of a file, with zeros behind them where it is shorter."""
    return tf.strings.substr(tf.strings.join([image_bytes, b"\0" * length]), 0, length)


def _decode_png(image_bytes):
    image = tf.io.decode_png(image_bytes, channels=4)
    # Of 1, 2 or 4 bits a sample, TensorFlow fills up a missing alpha with 1, 3 or 15 rather than with 255.
    bits = tf.cast(tf.io.decode_raw(_head(image_bytes, 32), tf.uint8)[24], tf.int32)
    filler = tf.cast(tf.bitwise.left_shift(1, tf.minimum(bits, 8)) - 1, tf.uint8)

    def filled_up():
        no_alpha = tf.reduce_all(image[..., 3] == filler)
        return tf.cond(no_alpha, lambda: _opaque(image[..., :3]), lambda: image)

    return tf.cond(bits < 8, filled_up, lambda: image)


def _upright(image, orientation):
    """Undoes an EXIF orientation, 1 to 8, of [h, w, 4]."""
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
        # leave four times the size wanted, so that the resize that follows has the last word.
        sides, ratios = tf.io.extract_jpeg_shape(image_bytes)[:2], tf.constant([2, 4, 8])
        fits = (tf.reduce_min(sides) >= 4 * max(wanted) * ratios) & tf.reduce_all(sides[:, tf.newaxis] % ratios == 0, 0)
        halvings = tf.reduce_sum(tf.cast(fits, tf.int32))
        rgb = tf.switch_case(halvings, [functools.partial(decoded, ratio) for ratio in (1, 2, 4, 8)])
    # Looked for first, for to walk through the segments takes longer than to decode a small file.
    has_exif = tf.strings.regex_full_match(tf.strings.substr(image_bytes, 0, 1 << 19), rb"\C*Exif\C*")
    image = _opaque(rgb)
    return tf.cond(has_exif, lambda: _turned(image, image_bytes), lambda: image)


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
        wanted: (height, width) that `prepare` will make of it: a much larger JPEG file is decoded at a half, a quarter
            or an eighth of its size. None: at its own size.

    Returns:
        [h, w, 4] uint8 RGBA, colours not multiplied by alpha.

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
        return tf.zeros([1, 1, 4], tf.uint8)

    jpeg = functools.partial(_decode_jpeg, wanted=wanted)
    image = _by_kind(image_bytes, _decode_png, jpeg, _decode_gif, _decode_bmp, _decode_webp, unknown)
    return tf.ensure_shape(image, [None, None, 4])


def _size(image):
    """Returns the height and width of [..., h, w, c], int32."""
    return tf.unstack(tf.shape(image)[-3:-1])


def _crop(image, height, width):
    """Returns the largest middle part of [..., h, w, c] that has the aspect ratio of height x width."""
    h, w = (tf.cast(length, tf.int64) for length in _size(image))
    new_w = tf.cast(tf.round(tf.cast(h * width, tf.float64) / height), tf.int64)
    new_h = tf.cast(tf.round(tf.cast(w * height, tf.float64) / width), tf.int64)
    new_w, new_h = tf.clip_by_value(new_w, 1, w), tf.clip_by_value(new_h, 1, h)
    top, left = (h - new_h) // 2, (w - new_w) // 2
    return image[..., top : top + new_h, left : left + new_w, :]


def _resize(image, size):
    """Returns [..., *size, c] float32 of [..., h, w, c], uint8 or float32."""

    def resized():
        return tf.image.resize(image, size, method="bilinear", antialias=True)

    same = tf.reduce_all(tf.stack(_size(image)) == size)
    return tf.cond(same, lambda: tf.cast(image, tf.float32), resized)


def _pad(image, height, width, padding):
    """Returns [..., height, width, c]: the whole image in the middle, `padding` [c] beside it."""
    h, w = (tf.cast(length, tf.float64) for length in _size(image))
    scale = tf.minimum(height / h, width / w)
    new_h = tf.clip_by_value(tf.cast(tf.round(h * scale), tf.int32), 1, height)
    new_w = tf.clip_by_value(tf.cast(tf.round(w * scale), tf.int32), 1, width)
    top, left = (height - new_h) // 2, (width - new_w) // 2
    margins = [[0, 0]] * (image.shape.rank - 3) + [[top, height - new_h - top], [left, width - new_w - left], [0, 0]]
    # Padded as a difference from the padding, for tf.pad takes one number for all channels.
    return tf.pad(_resize(image, [new_h, new_w]) - padding, margins) + padding


def _premultiplied(rgba):
    """Returns [..., h, w, 4] uint16 of [..., h, w, 4] uint8: red, green and blue times alpha, and alpha."""
    # A pixel is one number of 32 bits here: to broadcast alpha over the colours takes several times as long.
    alpha = tf.bitwise.right_shift(tf.bitcast(rgba, tf.uint32), 24)
    factors = tf.bitcast(tf.bitwise.bitwise_or(alpha * 0x010101, 0x01000000), tf.uint8)
    return tf.cast(rgba, tf.uint16) * tf.cast(factors, tf.uint16)


def prepare(rgba, height, width, channels, fit, background_rgb):
    """Makes an image of any size what the model takes, or images of one size.

    Args:
        rgba: [h, w, 4] or [n, h, w, 4] uint8.
        height, width: The size wanted, Python integers.
        channels: 1 for grey (BT.601 luma), 3 for RGB.
        fit: What becomes of another aspect ratio: "crop" keeps the middle, "pad" adds background, "stretch" distorts.
        background_rgb: Three numbers from 0 to 255: the colour behind transparent pixels and padding.

    Returns:
        [height, width, channels] or [n, height, width, channels] uint8.
    """
    background = tf.constant(background_rgb, tf.float32)
    if fit == "crop":
        rgba = _crop(rgba, height, width)

    def fitted(image, padding):
        return _pad(image, height, width, padding) if fit == "pad" else _resize(image, [height, width])

    def composited():
        # Multiplied before the resize, for the colour of a transparent pixel must not bleed into its neighbours; put
        # on the background after it, where there are fewer pixels.
        image = fitted(_premultiplied(rgba), tf.zeros([4]))
        return (image[..., :3] + background * (255 - image[..., 3:])) / 255

    def resized():
        # As bytes: a large image as floats would take four times the memory.
        return fitted(rgba, tf.constant([*background_rgb, 255], tf.float32))[..., :3]

    image = tf.cond(tf.reduce_all(rgba[..., 3] == 255), resized, composited)
    if channels == 1:
        image = tf.reduce_sum(image * _LUMA, axis=-1, keepdims=True)
    image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    return tf.ensure_shape(image, [*rgba.shape[:-3], height, width, channels])
