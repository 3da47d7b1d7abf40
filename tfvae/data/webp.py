"""Animated WebP, read in the graph: TensorFlow's decoder writes beyond its buffer where an animation has no alpha.

Source: https://developers.google.com/speed/webp/docs/riff_container; TensorFlow 2.21, decode_image_op.cc.
"""

import tensorflow as tf

from tfvae.data import containers

_MOST_CHUNKS = 10_000  # Before the first frame: only a file made to keep a server busy has more.


def _is_animated(byte):
    is_extended = tf.reduce_all([byte(12 + k) == letter for k, letter in enumerate(b"VP8X")])
    return is_extended & (tf.bitwise.bitwise_and(byte(20), 2) > 0)


def _little(count, size):
    """Returns `count` as a string of `size` bytes, the lowest first."""
    return tf.strings.join([containers.letter(tf.bitwise.right_shift(count, 8 * k) % 256) for k in range(size)])


def _first_frame(image_bytes, raw, byte):
    """Returns (the first frame as a still WebP file, [top, left, height, width] of it on the canvas)."""

    def number(at, size):
        return sum(byte(at + k) * 256**k for k in range(size))

    def is_frame(at):
        return tf.reduce_all([byte(at + k) == letter for k, letter in enumerate(b"ANMF")])

    (start,) = tf.while_loop(
        lambda at: ~is_frame(at) & (at < tf.size(raw)),
        lambda at: [at + 8 + tf.clip_by_value(number(at + 4, 4) + byte(at + 4) % 2, 0, tf.size(raw))],
        [tf.constant(30)],
        maximum_iterations=_MOST_CHUNKS,
    )
    found = tf.debugging.Assert(is_frame(start), ["Expected a frame in an animated WebP file."])
    with tf.control_dependencies([found] if found is not None else []):
        length = number(start + 4, 4)
    left, top = 2 * number(start + 8, 3), 2 * number(start + 11, 3)
    width, height = number(start + 14, 3) + 1, number(start + 17, 3) + 1
    end = tf.size(raw)
    picture = tf.strings.substr(image_bytes, tf.minimum(start + 24, end), tf.maximum(length - 16, 0))
    # Lossy pixels with their alpha beside them need the extended header; others are a file as they are.
    size = tf.strings.substr(image_bytes, tf.minimum(start + 14, end), 6)
    extended = tf.strings.join([b"VP8X", _little(10, 4), b"\x10\0\0\0", size])
    picture = tf.where(byte(start + 24) == ord("A"), tf.strings.join([extended, picture]), picture)
    still = tf.strings.join([b"RIFF", _little(tf.strings.length(picture) + 4, 4), b"WEBP", picture])
    return still, tf.stack([top, left, height, width])


def size(image_bytes):
    """Returns (height, width) of a WebP file's canvas, int32; 0 where the header is none that is known."""
    _, byte = containers.raw_bytes(tf.strings.substr(image_bytes, 0, tf.minimum(tf.strings.length(image_bytes), 30)))

    def is_header(letters):
        return tf.reduce_all([byte(12 + k) == letter for k, letter in enumerate(letters)])

    def number(at, length):
        return sum(byte(at + k) * 256**k for k in range(length))

    lossless = number(21, 4)
    return tf.case(
        [
            (is_header(b"VP8X"), lambda: (1 + number(27, 3), 1 + number(24, 3))),
            (is_header(b"VP8L"), lambda: (1 + tf.bitwise.right_shift(lossless, 14) % 2**14, 1 + lossless % 2**14)),
            (is_header(b"VP8 "), lambda: (number(28, 2) % 2**14, number(26, 2) % 2**14)),
        ],
        default=lambda: (tf.constant(0), tf.constant(0)),
    )


def decode(image_bytes):
    """Returns [h, w, 4] uint8 RGBA of a WebP file; of an animation its first frame, transparent around it."""
    canvas = size(image_bytes)
    raw, byte = containers.raw_bytes(image_bytes)
    animated = _is_animated(byte)
    still, place = tf.cond(
        animated,
        lambda: _first_frame(image_bytes, raw, byte),
        lambda: (image_bytes, tf.zeros([4], tf.int32)),
    )
    # A frame that claims to be larger than its canvas must not be decoded: the canvas alone has been checked.
    fits = tf.reduce_all(place[:2] + tf.stack(size(still)) <= tf.stack(canvas))
    check = tf.debugging.Assert(fits, ["Expected a frame within the canvas of a WebP file."])
    with tf.control_dependencies([check] if check is not None else []):
        pixels = tf.io.decode_webp(still, channels=0)[0]
    opaque = tf.constant(255, tf.uint8)
    # The decoder gives 3 channels, or 4 where there is alpha.
    rgba = tf.cond(
        tf.shape(pixels)[2] == 4,
        lambda: pixels,
        lambda: tf.concat([pixels, tf.fill([*tf.unstack(tf.shape(pixels)[:2]), 1], opaque)], axis=-1),
    )

    def on_canvas():
        height, width = canvas
        below, right = height - place[0] - tf.shape(rgba)[0], width - place[1] - tf.shape(rgba)[1]
        return tf.pad(rgba, [[place[0], below], [place[1], right], [0, 0]])

    return tf.cond(animated, on_canvas, lambda: rgba)
