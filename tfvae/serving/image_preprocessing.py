"""`data.preprocessing` as a TensorFlow graph: decoded pixels to what the model takes, uint8 [H, W, C].

The steps and the places where numbers are rounded are those of Pillow's `Image.resize`, which training uses: means of
whole pixels where an image is much larger, then one side after the other.
"""

from typing import NamedTuple

import numpy as np
import PIL
import tensorflow as tf

from tfvae.data import preprocessing, value_range

SERVED_PIXELS = 40_000_000  # Of one image, at most: for it to take less than 512 MB.
DEEP = value_range.ValueRange(0.0, 65535.0)  # Of grey PNG of 16 bits, where training has seen none.
_BLOCK = 2_000_000  # Pixels that are converted at once: all of a large image would take several times its memory.
# TensorFlow's name of a filter, and how far it reaches, in pixels of the smaller image.
_KERNELS = {"bilinear": ("triangle", 1.0), "bicubic": ("keyscubic", 2.0), "lanczos": ("lanczos3", 3.0)}
# What loses much height has its height resized first, since Pillow 13 (python-pillow#9549). Pillow rounds in between.
_CHOOSES_ORDER = int(PIL.__version__.partition(".")[0]) >= 13


class Plan(NamedTuple):
    """How an image is resized; rows before columns."""

    size: tf.Tensor  # [2] int32, what it becomes, as it is stored: not yet turned.
    start: tf.Tensor  # [2] float64, where what is kept begins, in pixels of the reduced region.
    stop: tf.Tensor  # [2] float64, where it ends.
    first: tf.Tensor  # [2] int32, where the region that is needed begins.
    last: tf.Tensor  # [2] int32, where it ends.
    factors: tf.Tensor  # [2] int32, of how many pixels means are taken first.
    rows_first: tf.Tensor  # Scalar bool, whether the height is resized before the width.


def plan(filled, stored, sideways, spec):
    """Returns the `Plan` of an image.

    Args:
        filled: [2] float64, height and width that the image fills of what is decoded.
        stored: [2] int32, height and width of what is decoded.
        sideways: Scalar bool, whether height and width change places afterwards.
        spec: A `preprocessing.ImageSpec`.
    """
    size = tf.where(sideways, [spec.width, spec.height], [spec.height, spec.width])
    wanted = tf.cast(size, tf.float64)
    start, stop = tf.zeros_like(filled), filled
    if spec.fit == "crop":
        kept = tf.minimum(filled, filled[::-1] * wanted / wanted[::-1])
        start = (filled - kept) / 2
        stop = start + kept
    elif spec.fit == "pad":
        size = tf.clip_by_value(tf.cast(tf.round(filled * tf.reduce_min(wanted / filled)), tf.int32), 1, size)
    if spec.resize_filter == "nearest":
        return Plan(size, start, stop, tf.zeros_like(stored), stored, tf.ones_like(stored), tf.constant(False))
    scale = (stop - start) / tf.cast(size, tf.float64)
    factors = tf.maximum(tf.cast(scale / preprocessing.REDUCING_GAP, tf.int32), 1)
    reach = _KERNELS[spec.resize_filter][1]
    # Where means are taken, Pillow forgets what lies further away.
    is_reduced = tf.reduce_any(factors > 1)
    margin = tf.where(is_reduced, (reach - 0.5) * scale, reach * tf.maximum(scale, 1) + 1)
    first = tf.cast(tf.maximum(start - margin, 0), tf.int32)
    last = tf.minimum(tf.cast(tf.math.ceil(stop + margin), tf.int32), stored)
    start, stop = ((edge - tf.cast(first, tf.float64)) / tf.cast(factors, tf.float64) for edge in (start, stop))
    lost = tf.where(is_reduced, (last - first + factors - 1) // factors, stored) - size
    rows_first = (lost[0] > 0) & (lost[0] > 2 * lost[1]) & _CHOOSES_ORDER
    return Plan(size, start, stop, first, last, factors, rows_first)


def _bytes(values):
    return tf.cast(tf.floor(tf.clip_by_value(values, 0.0, 255.0) + 0.5), tf.uint8)


def levels(values, to=256):
    """Returns what maps numbers of 0 to `to` - 1 to bytes as a `ValueRange` says."""
    table = tf.constant(values.to_uint8(np.arange(to)))
    return lambda pixels: tf.gather(table, tf.cast(pixels, tf.int32))


def premultiplied(rgba):
    """Returns uint8 [h, w, 4] with red, green and blue multiplied by alpha, of [h, w, 4] uint8."""
    # A pixel is one number here, and two of its bytes are multiplied at once: several times as fast as by bytes.
    shift, pixels = tf.bitwise.right_shift, tf.bitcast(rgba, tf.uint32)
    alpha, every_other = shift(pixels, 24), tf.constant(0x00FF00FF, tf.uint32)

    def times_alpha(values):
        product = values * alpha + 0x00800080
        return shift(product + (shift(product, 8) & every_other), 8) & every_other

    red_blue = times_alpha(pixels & every_other)
    green_alpha = times_alpha((shift(pixels, 8) & 0xFF) | 0x00FF0000)
    return tf.bitcast(red_blue | tf.bitwise.left_shift(green_alpha, 8), tf.uint8)


def _scaled_rows(pixels, length, scale, shift, kernel):
    """Returns float32 [length, w, c] of [h, w, c]; row 0 of the result begins at row -shift / scale."""
    rows, columns, channels = tf.unstack(tf.shape(pixels))
    # Each row as one wide pixel: whole rows are added up then.
    found = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(pixels, [1, rows, 1, columns * channels]),
        size=[length, 1],
        scale=[tf.cast(scale, tf.float32), 1.0],
        translation=[tf.cast(shift, tf.float32), 0.0],
        kernel_type=kernel,
        antialias=True,
    )
    return tf.reshape(found, [length, columns, channels])


def _means(pixels, factors):
    """Returns uint8 means of factors[0] x factors[1] pixels of [h, w, c]; at the far edges of those that are there."""
    sides = tf.shape(pixels)[:2]
    blocks = (sides + factors - 1) // factors
    rows, columns = tf.unstack(blocks * factors - sides)
    means = tf.pad(pixels, [[0, rows], [0, columns], [0, 0]])
    for axis in (0, 1):
        means = _scaled_rows(means, blocks[axis], 1 / factors[axis], 0.0, "box")
        means = tf.transpose(means, [1, 0, 2])
    sums = tf.cast(tf.round(means * tf.cast(tf.reduce_prod(factors), tf.float32)), tf.uint32)
    down, across = (tf.minimum(sides[axis] - tf.range(blocks[axis]) * factors[axis], factors[axis]) for axis in (0, 1))
    counts = down[:, tf.newaxis, tf.newaxis] * across[:, tf.newaxis]
    # Divided as Pillow's `reduce` does it.
    half, inverse = tf.cast(counts // 2, tf.uint32), tf.cast(2**24 // counts, tf.uint32)
    return tf.cast(tf.bitwise.right_shift((sums + half) * inverse, 24), tf.uint8)


def reduced(pixels, how, to_bytes, spec):
    """Returns the region of an image that is needed, as bytes and in means where the image is much larger.

    Args:
        pixels: [h, w, c], what was decoded.
        how: Its `Plan`.
        to_bytes: What makes uint8 of some of its rows, colours multiplied by alpha.
        spec: A `preprocessing.ImageSpec`.

    Returns:
        uint8 [h', w', c].
    """
    if spec.resize_filter == "nearest":
        return to_bytes(_nearest(pixels, how))
    (top, left), (bottom, right) = tf.unstack(how.first), tf.unstack(how.last)

    def all_at_once():
        return to_bytes(pixels[top:bottom, left:right])

    def in_blocks():
        step = how.factors[0] * tf.maximum(1, _BLOCK // ((right - left) * how.factors[0]))
        count = (bottom - top + step - 1) // step

        def block(number, done):
            rows = pixels[top + number * step : tf.minimum(top + (number + 1) * step, bottom), left:right]
            return number + 1, done.write(number, _means(to_bytes(rows), how.factors))

        done = tf.TensorArray(tf.uint8, count, infer_shape=False, element_shape=[None, None, pixels.shape[-1]])
        return tf.while_loop(lambda number, _: number < count, block, (0, done), parallel_iterations=1)[1].concat()

    return tf.cond(tf.reduce_all(how.factors == 1), all_at_once, in_blocks)


def _nearest(pixels, how):
    for axis in (0, 1):
        # Added up as Pillow does it, so that both find the same pixel where two are as near.
        start, stop = tf.cast(how.start[axis], tf.float32), tf.cast(how.stop[axis], tf.float32)
        step = tf.cast(stop - start, tf.float64) / tf.cast(how.size[axis], tf.float64)
        steps = tf.concat([[tf.cast(start, tf.float64) + step * 0.5], tf.fill(how.size[axis : axis + 1] - 1, step)], 0)
        positions = tf.minimum(tf.cast(tf.cumsum(steps), tf.int32), tf.shape(pixels)[axis] - 1)
        pixels = tf.gather(pixels, positions, axis=axis)
    return pixels


def resized(region, how, spec):
    """Returns uint8 [*how.size, c] of what `reduced` returns."""
    if spec.resize_filter == "nearest":
        return region
    kernel = _KERNELS[spec.resize_filter][0]

    def turned(pixels, turns):
        return tf.cond(turns, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)

    def resize():
        size, start, stop = (tf.where(how.rows_first, sides, sides[::-1]) for sides in (how.size, how.start, how.stop))
        pixels = turned(region, ~how.rows_first)
        for axis in (0, 1):
            scale = tf.cast(size[axis], tf.float64) / (stop[axis] - start[axis])
            pixels = _bytes(_scaled_rows(pixels, size[axis], scale, -start[axis] * scale, kernel))
            pixels = tf.transpose(pixels, [1, 0, 2])
        return turned(pixels, ~how.rows_first)

    is_same = tf.reduce_all(tf.shape(region)[:2] == how.size) & tf.reduce_all(how.start == 0)
    is_same &= tf.reduce_all(how.stop == tf.cast(how.size, tf.float64))
    return tf.cond(is_same, lambda: region, resize)


def upright(pixels, orientation):
    """Undoes an EXIF orientation, 1 to 8, of [h, w, c]."""
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    left_right = tf.reduce_any(orientation == [2, 3, 6, 7])
    upside_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    pixels = tf.cond(left_right, lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return tf.cond(upside_down, lambda: tf.reverse(pixels, [0]), lambda: pixels)


def finish(pixels, spec):
    """`preprocessing.finish`: uint8 [h, w, 1, 3 or 4] on the background, in the middle of the size wanted.

    Returns:
        uint8 [H, W, C]; with 4 channels, colours are multiplied by alpha.
    """
    height, width, bands = tf.unstack(tf.shape(pixels))

    def with_alpha():
        colours = tf.broadcast_to(pixels, [height, width, 3])
        return tf.concat([colours, tf.fill([height, width, 1], tf.constant(255, tf.uint8))], axis=-1)

    pixels = tf.cond(bands == 4, lambda: pixels, with_alpha)
    pixels = tf.cast(tf.ensure_shape(pixels, [None, None, 4]), tf.float32)
    background = np.zeros(4, np.float32) if spec.channels == 4 else np.float32(spec.background)
    if spec.channels < 4:
        pixels = pixels[..., :3] + background * (1 - pixels[..., 3:] / 255)
    if spec.channels == 1:
        pixels = tf.reduce_sum(pixels * preprocessing.LUMA, axis=-1, keepdims=True)
        background = background @ preprocessing.LUMA
    if spec.fit == "pad":
        top, left = (spec.height - height) // 2, (spec.width - width) // 2
        margins = [[top, spec.height - height - top], [left, spec.width - width - left], [0, 0]]
        # As a difference from the background, for tf.pad takes one number for all channels.
        pixels = tf.pad(pixels - background, margins) + background
    pixels = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
    return tf.ensure_shape(pixels, spec.shape)


def described(spec, max_pixels):
    """Returns how files are prepared, as `signatures.json` holds it; `described_spec` reads it."""
    deep, flat = spec.deep_values or DEEP, spec.values or value_range.BYTES
    return {
        "channels": {1: "grey", 3: "RGB", 4: "RGB multiplied by alpha, and alpha"}[spec.channels],
        "formats": ["PNG", "JPEG"],
        "fit": spec.fit,
        "resize_filter": spec.resize_filter,
        "background_rgb": list(spec.background),
        "max_pixels": min(max_pixels, SERVED_PIXELS),
        # The values that become 0 and 1, of grey PNG of 16 bits and of all other files.
        "black": deep.black,
        "white": deep.white,
        "black_8_bits": flat.black,
        "white_8_bits": flat.white,
    }


def described_spec(contents):
    """Returns the `preprocessing.ImageSpec` that `signatures.json` describes; None of exports before 0.2."""
    if "black_8_bits" not in contents:
        return None
    flat = value_range.ValueRange(contents["black_8_bits"], contents["white_8_bits"])
    deep = value_range.ValueRange(contents["black"], contents["white"])
    return preprocessing.ImageSpec(
        *contents["image_shape"], contents["fit"], contents["resize_filter"], tuple(contents["background_rgb"]),
        None if flat == value_range.BYTES else flat, deep,
    )  # fmt: skip
