"""What TensorFlow's decoders leave out of image files, read in the graph: EXIF orientation, GIF transparency, BMP.

Every loop ends: by the file's end, and after so many rounds that only a file made to keep a server busy needs more.
"""

import tensorflow as tf

_MOST_BLOCKS = 20_000
_MOST_SCANS = 100  # Cameras and programs write about ten.


def letter(value):
    """Returns the string of one byte of `value`, int32 from 0 to 255."""
    return tf.gather(tf.constant([bytes([value]) for value in range(256)]), value)


def raw_bytes(image_bytes):
    """Returns (the file as [n] int32, a function that reads the byte at a position, 0 beyond the end)."""
    raw = tf.cast(tf.io.decode_raw(image_bytes, tf.uint8), tf.int32)
    length = tf.size(raw)

    def byte(position):
        inside = (position >= 0) & (position < length)
        return tf.where(inside, tf.gather(raw, tf.clip_by_value(position, 0, length - 1)), 0)

    return raw, byte


def jpeg_orientation(image_bytes):
    """Returns the EXIF orientation of a JPEG file, int32 from 1 to 8; 1 where it has none.

    Source: Exif 2.32, section 4.5 (APP1) and 4.6.4 (tag 274); TIFF 6.0, section 2.
    """
    # Markers stand before the scan; half a megabyte holds more of them than any camera writes.
    raw, byte = raw_bytes(tf.strings.substr(image_bytes, 0, tf.minimum(tf.strings.length(image_bytes), 1 << 19)))

    def big(position):
        return byte(position) * 256 + byte(position + 1)

    def is_exif(position):
        return (byte(position + 1) == 0xE1) & (big(position + 4) == 0x4578) & (big(position + 6) == 0x6966)

    def is_segment(position):
        return (byte(position) == 0xFF) & (byte(position + 1) != 0xDA) & (position < tf.size(raw))

    (position,) = tf.while_loop(
        lambda position: is_segment(position) & ~is_exif(position),
        lambda position: [position + 2 + tf.maximum(big(position + 2), 2)],
        [tf.constant(2)],
        maximum_iterations=_MOST_BLOCKS,
    )
    tiff = position + 10
    little = byte(tiff) == 0x49

    def word(at):
        return tf.where(little, byte(at) + 256 * byte(at + 1), byte(at) * 256 + byte(at + 1))

    def long(at):
        return tf.where(little, word(at) + 65536 * word(at + 2), word(at) * 65536 + word(at + 2))

    directory = tiff + long(tiff + 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(word(directory), 512))
    found = tf.boolean_mask(word(entries + 8), word(entries) == 274)
    orientation = tf.concat([found, [1]], axis=0)[0]
    usable = is_exif(position) & is_segment(position) & (orientation >= 1) & (orientation <= 8)
    return tf.where(usable, orientation, 1)


def few_jpeg_scans(image_bytes):
    """Returns `image_bytes`, a JPEG file, once it has been found to have no more scans than a real one may have.

    Each scan goes over all of the image, so that a small file of many keeps a decoder busy for hours.

    Source: ITU-T T.81, section B.2.3.
    """
    raw = tf.io.decode_raw(image_bytes, tf.uint8)
    at = tf.cast(tf.where((raw[:-4] == 0xFF) & (raw[1:-3] == 0xDA) & (raw[2:-2] == 0))[:, 0], tf.int32)
    length, components = tf.gather(raw, at + 3), tf.gather(raw, at + 4)
    scans = tf.math.count_nonzero((length == 6 + 2 * components) & (components >= 1) & (components <= 4))
    check = tf.debugging.Assert(
        scans <= _MOST_SCANS, [f"Expected at most {_MOST_SCANS} scans in a JPEG file, got", scans]
    )
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(image_bytes)


def _gif_frame(raw, byte):
    """Returns where a GIF file's first frame starts, where its graphic control does (-1: none), and where it ends."""

    def palette_length(flags):
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def next_data(at):
        # Almost all blocks of a frame have 255 bytes: a run of them is one step.
        full = raw[at : at + 256 * 1024 : 256] == 255
        run = tf.where(tf.reduce_all(full), tf.size(full), tf.argmax(~full, output_type=tf.int32))
        after = at + 256 * run
        return [after + tf.where(byte(after) % 255 > 0, 1 + byte(after), 0)]

    def behind_data(at):
        """Returns the position behind the blocks that start at `at`, their end mark included."""
        (end,) = tf.while_loop(
            lambda at: (byte(at) > 0) & (at < tf.size(raw)), next_data, [at], maximum_iterations=_MOST_BLOCKS
        )
        return end + 1

    def next_extension(position, control):
        control = tf.where(byte(position + 1) == 0xF9, position, control)
        return behind_data(position + 2), control

    start, control = tf.while_loop(
        lambda position, control: (byte(position) == 0x21) & (position < tf.size(raw)),
        next_extension,
        [13 + palette_length(byte(10)), tf.constant(-1)],
        maximum_iterations=_MOST_BLOCKS,
    )
    return start, control, behind_data(start + 11 + palette_length(byte(start + 9)))


def gif_size(image_bytes):
    """Returns (height, width) of the first frame of a GIF file, int32; 0 where it has none."""
    raw, byte = raw_bytes(image_bytes)
    start, _, _ = _gif_frame(raw, byte)
    there = byte(start) == 0x2C

    def little(at):
        return tf.where(there, byte(at) + 256 * byte(at + 1), 0)

    return little(start + 7), little(start + 5)


def gif_transparency_replaced(image_bytes):
    """Returns the first frame of a GIF file twice: its transparent colour made opaque black, and opaque white.

    TensorFlow's decoder drops transparency. Where the two decode to different pixels, the frame is transparent. The
    other frames are cut off, for the decoder would decode them all.

    Source: GIF89a specification, sections 18, 20 and 23.
    """
    raw, byte = raw_bytes(image_bytes)
    start, control, end = _gif_frame(raw, byte)
    has_own_palette = byte(start + 9) >= 128
    flags, index = byte(control + 3), byte(control + 6)
    entry = tf.where(has_own_palette, start + 10, 13) + 3 * index
    transparent = (control > 0) & (flags % 2 == 1) & (byte(start) == 0x2C) & (entry + 3 < tf.size(raw))
    image_bytes = tf.strings.join([tf.strings.substr(image_bytes, 0, end), b";"])

    def replaced(colour):
        def cut(start, stop):
            return tf.strings.substr(image_bytes, start, stop - start)

        opaque = letter(tf.maximum(flags - 1, 0))
        before = tf.minimum(control + 3, entry)
        flags_first = control + 3 < entry
        first = tf.where(flags_first, opaque, colour)
        second = tf.where(flags_first, colour, opaque)
        middle = before + tf.where(flags_first, 1, 3)
        after = tf.maximum(control + 3, entry)
        rest = after + tf.where(flags_first, 3, 1)
        parts = [cut(0, before), first, cut(middle, after), second, cut(rest, tf.strings.length(image_bytes))]
        return tf.strings.join(parts)

    return tuple(
        tf.cond(transparent, lambda colour=colour: replaced(colour), lambda: image_bytes)
        for colour in (b"\0\0\0", b"\xff\xff\xff")
    )


def bmp_size(image_bytes):
    """Returns (height, width) of a BMP file, int32."""
    _, byte = raw_bytes(tf.strings.substr(image_bytes, 0, tf.minimum(tf.strings.length(image_bytes), 26)))

    def long(at):
        return byte(at) + 256 * (byte(at + 1) + 256 * (byte(at + 2) + 256 * byte(at + 3)))

    return tf.abs(long(22)), long(18)


def decode_bmp(image_bytes):
    """Decodes an uncompressed BMP file of 8 bits a pixel (with its palette), 24, or 32.

    TensorFlow's decoder takes palette indices for greys, and the unused fourth byte of a pixel for alpha.

    Returns:
        [h, w, 4] uint8 RGBA.

    Raises:
        tf.errors.InvalidArgumentError: If it is compressed, of other depth, or cut short.

    Source: Microsoft's BITMAPINFOHEADER and BITMAPV4HEADER.
    """
    # Numbers for the header alone: the pixels stay bytes, for as numbers they would take four times as much.
    raw = tf.io.decode_raw(image_bytes, tf.uint8)
    _, byte = raw_bytes(tf.strings.substr(image_bytes, 0, tf.minimum(tf.size(raw), 138)))

    def long(at):
        return byte(at) + 256 * (byte(at + 1) + 256 * (byte(at + 2) + 256 * byte(at + 3)))

    start, header, width, signed_height = long(10), long(14), long(18), long(22)
    bits, compression = byte(28) + 256 * byte(29), long(30)
    height = tf.abs(signed_height)
    row = (width * bits + 31) // 32 * 4
    has_masks = (compression == 3) & (header >= 56)
    known_masks = (long(54) == 0xFF0000) & (long(58) == 0xFF00) & (long(62) == 0xFF)
    readable = (
        (header >= 40)
        & tf.reduce_any(bits == [8, 24, 32])
        & ((compression == 0) | ((compression == 3) & known_masks & (bits == 32)))
        & ((width > 0) & (height > 0) & (width < 65536) & (height < 65536))
    )
    complete = tf.cast(start, tf.int64) + tf.cast(row, tf.int64) * tf.cast(height, tf.int64) <= tf.size(raw, tf.int64)
    check = tf.debugging.Assert(
        readable & complete, ["Expected a whole, uncompressed BMP of 8, 24 or 32 bits a pixel."]
    )
    with tf.control_dependencies([check] if check is not None else []):
        rows = tf.reshape(raw[start : start + row * height], [height, row])
    rows = tf.cond(signed_height > 0, lambda: tf.reverse(rows, [0]), lambda: rows)

    def paletted():
        count = tf.where(long(46) > 0, long(46), 256)
        colours = tf.reshape(raw[14 + header : 14 + header + 4 * count], [count, 4])[:, 2::-1]
        # A number beyond the last colour means that one.
        colours = tf.gather(colours, tf.minimum(tf.range(256), count - 1))
        colours = tf.concat([colours, tf.fill([256, 1], tf.constant(255, tf.uint8))], axis=-1)
        return tf.gather(colours, tf.cast(rows[:, :width], tf.int32))

    def direct():
        samples = bits // 8
        pixels = tf.reshape(rows[:, : width * samples], [height, width, samples])
        # A fourth byte is alpha only where the header has a mask for it.
        has_alpha = (samples == 4) & has_masks & (long(66) != 0)
        opaque = tf.constant(255, tf.uint8)
        alpha = tf.cond(has_alpha, lambda: pixels[..., 3:4], lambda: tf.fill([height, width, 1], opaque))
        return tf.concat([pixels[..., 2::-1], alpha], axis=-1)

    return tf.cond(bits == 8, paletted, direct)
