"""PNG and JPEG files to what the model takes, within an export: TensorFlow's decoders, and training's preprocessing.

No other format is decoded in the graph: TensorFlow decodes several of them wrongly, and one ends the process. A file
that would not come out as training saw it is refused, with its row and what to send.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from tfvae.serving import checks
from tfvae.serving import image_preprocessing as graph

_MOST_SCANS = 100  # Of a JPEG: each goes over the whole image. Cameras and programs write about ten.
_PARALLEL = 8  # Files decoded at once for one request: bounds the memory that large ones take.
_TIFF = (b"II*\0", b"MM\0*")
# Start of frame in a progressive JPEG of 1, 3 or 4 colours; start of a scan that has not all colours of three.
_MANY_SCANS = (b"\xff\xc2\0\x0b", b"\xff\xc2\0\x11", b"\xff\xc2\0\x14", b"\xff\xda\0\x08\1", b"\xff\xda\0\x0a\2")


def _apart(function):
    """Makes `function` a graph function that is not inlined.

    Inlined, each image pays for the nodes of the format that it does not have.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def _parts(contents, separator, most=1):
    """Returns a file cut at the first `most` places where it has `separator`, string [1 to most + 1]."""
    return tf.raw_ops.StringSplitV2(input=[contents], sep=separator, maxsplit=most).values


def _contains(contents, separator):
    return tf.size(_parts(contents, separator)) > 1


def _behind(contents, separator, length):
    """Returns up to `length` bytes that follow `separator`; none where the file does not have it."""
    return tf.strings.substr(tf.concat([_parts(contents, separator), [""]], axis=0)[1], 0, length)


def _numbers(contents, count):
    """Returns the first `count` bytes as int64, zeros behind the end."""
    return tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 0, count), tf.uint8, fixed_length=count), tf.int64)


def _number(raw):
    """Returns the number of bytes, the highest first."""
    return tf.reduce_sum(raw * [256**k for k in reversed(range(raw.shape[0]))])


def _tiff_orientation(tiff):
    """Returns the orientation in the first directory of a TIFF header, int64; 0 where there is none.

    Source: Exif 2.32, section 4.6.4 (tag 274); TIFF 6.0, section 2.
    """
    raw = tf.cast(tf.io.decode_raw(tf.strings.join([tiff, b"\0" * 16]), tf.uint8), tf.int64)
    is_little = raw[0] == ord("I")

    def number(at, size):
        places = tf.range(size, dtype=tf.int64)
        found = tf.gather(raw, tf.clip_by_value(at[..., tf.newaxis] + places, 0, tf.size(raw, tf.int64) - 1))
        shifts = tf.where(is_little, places, places[::-1])
        return tf.reduce_sum(found * tf.bitwise.left_shift(tf.constant(1, tf.int64), 8 * shifts), axis=-1)

    directory = number(tf.constant(4, tf.int64), 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2), 512))
    # A short number, or a long one.
    values = tf.where(number(entries + 2, 2) == 4, number(entries + 8, 4), number(entries + 8, 2))
    found = tf.concat([[0], tf.boolean_mask(values, number(entries, 2) == 274)], axis=0)[-1]
    is_tiff = tf.reduce_any(tf.strings.substr(tiff, 0, 4) == tf.constant(_TIFF))
    return tf.where(is_tiff, found, 0)


def _orientation(contents, marker):
    """Returns the orientation, 1 to 8, that EXIF after `marker` names, or else XMP; 0 where neither does."""
    none = tf.constant(0, tf.int64)
    tiff, xmp = _behind(contents, marker, 1 << 16), _behind(contents, b"tiff:Orientation", 3)

    def in_xmp():
        raw = _numbers(xmp, 3)
        digit = tf.where(raw[0] == ord(">"), raw[1], tf.where(tf.reduce_all(raw[:2] == [*b'="']), raw[2], 0))
        return digit - ord("0")

    named = tf.cond(tiff != "", lambda: _tiff_orientation(tiff), lambda: none)
    found = tf.cond((named == 0) & (xmp != ""), in_xmp, lambda: named)
    return tf.where((found >= 1) & (found <= 8), found, 0)


# Why a file is refused before it is decoded, by number.
_REFUSALS = (
    "",
    "expected a PNG or JPEG file",
    "expected a PNG file without compressed EXIF or XMP; send it saved without them",
    "expected a JPEG file in grey or RGB, got CMYK without Adobe's marker; send PNG",
    f"expected at most {_MOST_SCANS} scans in a JPEG file, got more; send PNG",
)


class _Facts(NamedTuple):
    """What is known of a file before it is decoded; int64."""

    height: tf.Tensor
    width: tf.Tensor
    orientation: tf.Tensor  # 1 to 8, EXIF's; 0 where it has none.
    ratio: tf.Tensor  # 1, 2, 4 or 8: the fraction of its size at which a JPEG is decoded.
    counted: tf.Tensor  # Pixels that take memory.
    refusal: tf.Tensor  # Index into `_REFUSALS`.


@_apart
def _png_facts(contents):
    raw = _numbers(contents, 24)
    height, width = _number(raw[20:24]), _number(raw[16:20])
    orientation = _orientation(contents, b"eXIf")
    is_packed = _contains(contents, b"Raw profile type exif\0") | _contains(contents, b"XML:com.adobe.xmp\0\1")
    refusal = tf.where((orientation == 0) & is_packed, 2, 0)
    return tf.stack([height, width, orientation, 1, height * width, tf.cast(refusal, tf.int64)])


def _jpeg_facts(contents, spec, most):
    # By the decoder's own library, so that both read the same header.
    height, width, colours = tf.unstack(tf.cast(tf.io.extract_jpeg_shape(contents), tf.int64))
    # What is much larger is decoded at a half, a quarter or an eighth: its transform gives means of as many pixels a
    # side. Twice the size that is wanted stays, so that the resize that follows has the last word.
    smaller = tf.minimum(height, width) // (2 * max(spec.height, spec.width))
    ratio = tf.reduce_max(tf.where(smaller >= [2, 4, 8], tf.constant([2, 4, 8], tf.int64), 1))

    def counted():
        # A file of many scans keeps all its coefficients until the last one.
        is_whole = tf.reduce_any([_contains(contents, mark) for mark in _MANY_SCANS])
        return tf.where(is_whole, height * width, -(-height // ratio) * -(-width // ratio))

    pixels = tf.cond(height * width > most, counted, lambda: height * width)
    has_many_scans = tf.size(_parts(contents, b"\xff\xda", _MOST_SCANS + 1)) > _MOST_SCANS + 1
    is_inverted = tf.cond(colours == 4, lambda: ~_contains(contents, b"\xff\xee\0\x0eAdobe"), lambda: False)
    refusal = tf.where(is_inverted, 3, tf.where(has_many_scans, 4, 0))
    # Before the first scan, for what follows may hold other pictures.
    orientation = _orientation(_parts(contents, b"\xff\xda")[0], b"Exif\0\0")
    return tf.stack([height, width, orientation, ratio, pixels, tf.cast(refusal, tf.int64)])


def facts(contents, spec, most):
    """Returns the `_Facts` of one file."""
    head = tf.strings.substr(contents, 0, 4)
    jpeg_facts = _apart(functools.partial(_jpeg_facts, spec=spec, most=most))
    nothing = tf.constant([1, 1, 1, 1, 1, 1], tf.int64)
    found = tf.cond(
        head == b"\x89PNG",
        lambda: _png_facts(contents),
        lambda: tf.cond(
            tf.strings.substr(head, 0, 3) == b"\xff\xd8\xff", lambda: jpeg_facts(contents), lambda: nothing
        ),
    )
    return _Facts(*tf.unstack(tf.ensure_shape(found, [len(_Facts._fields)])))


def complaint(contents, found, most):
    """Returns why a file is refused before anything of it is decoded, scalar string; empty where it is not."""

    def words():
        text = tf.strings.as_string
        got = tf.strings.join([text(found.width), " x ", text(found.height)])
        length = tf.strings.join([", got none in ", text(tf.strings.length(contents)), " bytes; send PNG or JPEG"])
        refusal = tf.gather(tf.constant(_REFUSALS), found.refusal)
        refusal = tf.where(found.refusal == 1, tf.strings.join([refusal, length]), refusal)
        no_size = tf.strings.join(["expected an image of at least one pixel, got ", got])
        too_large = tf.strings.join([f"expected at most {most} pixels, got ", got, "; send it smaller"])
        return tf.where(found.refusal > 0, refusal, tf.where(is_large, too_large, no_size))

    is_large = found.counted > most
    is_refused = (found.refusal > 0) | is_large | (tf.minimum(found.height, found.width) < 1)
    return tf.cond(is_refused, words, lambda: tf.constant(""))


def _decode_png(contents, how, spec):
    header = _numbers(contents, 26)
    bits, colour_type = header[24], header[25]
    has_colour_key = tf.strings.length(
        # Of a chunk's length no byte is a letter, as before the same word in a text.
        tf.strings.regex_replace(contents, r"\x00\x00[\x00\x01]\CtRNS", "", replace_global=False)
    ) < tf.strings.length(contents)
    is_deep = (bits == 16) & (colour_type == 0)
    to_bytes = graph.levels(spec.values) if spec.values else lambda pixels: pixels

    def opaque():
        return graph.reduced(tf.io.decode_png(contents, channels=3), how, to_bytes, spec)

    def transparent():
        def straight_to_bytes(rgba):
            if spec.values:
                rgba = tf.concat([to_bytes(rgba[..., :3]), rgba[..., 3:]], axis=-1)
            return graph.premultiplied(rgba)

        return graph.reduced(tf.io.decode_png(contents, channels=4), how, straight_to_bytes, spec)

    def deep():
        pixels = tf.io.decode_png(contents, channels=1, dtype=tf.uint16)
        return graph.reduced(pixels, how, graph.levels(spec.deep_values or graph.DEEP, 1 << 16), spec)

    kind = tf.where(is_deep, 2, tf.where((colour_type >= 4) | has_colour_key, 1, 0))
    return tf.switch_case(kind, [opaque, transparent, deep])


def _decode_jpeg(contents, ratio, how, spec):
    def decoded(ratio):
        # The accurate transform, which Pillow uses too; TensorFlow's default is a faster approximation.
        return tf.io.decode_jpeg(contents, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    halvings = tf.reduce_sum(tf.cast(ratio >= [2, 4, 8], tf.int32))
    pixels = tf.switch_case(halvings, [functools.partial(decoded, ratio) for ratio in (1, 2, 4, 8)])
    return graph.reduced(pixels, how, graph.levels(spec.values) if spec.values else lambda pixels: pixels, spec)


def prepare(contents, found, spec):
    """Returns what the model takes of one file that nothing is said against, uint8 [H, W, C].

    Args:
        contents: Scalar string.
        found: Its `_Facts`.
        spec: A `preprocessing.ImageSpec`.

    Raises:
        tf.errors.InvalidArgumentError: If it is damaged.
    """
    full = tf.stack([found.height, found.width])
    stored = tf.cast(-(-full // found.ratio), tf.int32)
    filled = tf.cast(full, tf.float64) / tf.cast(found.ratio, tf.float64)
    how = graph.plan(filled, stored, found.orientation >= 5, spec)
    is_png = tf.strings.substr(contents, 0, 4) == b"\x89PNG"
    png = _apart(lambda contents, *how: _decode_png(contents, graph.Plan(*how), spec))
    jpeg = _apart(lambda contents, ratio, *how: _decode_jpeg(contents, ratio, graph.Plan(*how), spec))
    region = tf.cond(is_png, lambda: png(contents, *how), lambda: jpeg(contents, found.ratio, *how))
    pixels = graph.resized(tf.ensure_shape(region, [None, None, None]), how, spec)
    return graph.finish(graph.upright(pixels, found.orientation), spec)


def read(image_bytes, name, spec, max_pixels):
    """Returns what the model sees of image files.

    Args:
        image_bytes: string [B], the files' contents.
        name: Scalar string, the input's name.
        spec: A `preprocessing.ImageSpec`.
        max_pixels: Height times width of the largest image that is decoded; `SERVED_PIXELS` at most.

    Returns:
        [B, H, W, C] float32 in [0, 1]; with 4 channels, colours are multiplied by alpha.

    Raises:
        tf.errors.InvalidArgumentError: `image_bytes[3]: expected ...` of the first file that cannot be read.
    """
    most = min(max_pixels, graph.SERVED_PIXELS)

    # A call of its own: inlined, the decoders would be set up anew for each request.
    @tf.function(
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
    def read_one(contents):
        found = facts(contents, spec, most)
        words = complaint(contents, found, most)
        pixels = tf.cond(words == "", lambda: prepare(contents, found, spec), lambda: tf.zeros(spec.shape, tf.uint8))
        return pixels, words

    count = tf.size(image_bytes, tf.int64)
    # tf.data, for it alone goes on where a decoder raises. A row in front, for there must be one.
    front = tf.data.Dataset.from_tensors((tf.constant(-1, tf.int64), tf.zeros(spec.shape, tf.uint8), tf.constant("")))
    files = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes)).map(
        tf.autograph.experimental.do_not_convert(lambda row, contents: (row, *read_one(contents))),
        num_parallel_calls=_PARALLEL,
    )
    read_rows = front.concatenate(files.ignore_errors()).batch(count + 1).with_options(_plain())
    rows, pixels, complaints = (column[1:] for column in read_rows.get_single_element())
    sizes = tf.strings.as_string(tf.strings.length(image_bytes))
    damaged = tf.strings.join(["expected a whole image file, got ", sizes, " bytes that cannot be decoded"])
    complaints = tf.tensor_scatter_nd_update(damaged, rows[:, tf.newaxis], complaints)
    with tf.control_dependencies([checks.some(image_bytes, name), checks.require(complaints == "", name, complaints)]):
        return tf.cast(tf.ensure_shape(pixels, [None, *spec.shape]), tf.float32) / 255.0


def _plain():
    """Returns options under which tf.data does not study a pipeline that lives for one request."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_optimization.inject_prefetch = False
    return options
