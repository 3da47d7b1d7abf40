"""Pixels of any size to what the model takes, as TensorFlow graphs: for training and for exported models alike."""

import tensorflow as tf

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L").
_BLOCK = 2_000_000  # Pixels with alpha that are multiplied at once: a large image as a whole would take 1 GB.


def _crop(images, height, width):
    """Returns the largest middle part of [n, h, w, c] that has the aspect ratio of height x width."""
    h, w = tf.unstack(tf.shape(images, tf.int64)[1:3])
    new_w = tf.cast(tf.round(tf.cast(h * width, tf.float64) / height), tf.int64)
    new_h = tf.cast(tf.round(tf.cast(w * height, tf.float64) / width), tf.int64)
    new_w, new_h = tf.clip_by_value(new_w, 1, w), tf.clip_by_value(new_h, 1, h)
    top, left = (h - new_h) // 2, (w - new_w) // 2
    return images[:, top : top + new_h, left : left + new_w]


def _size_within(images, height, width):
    """Returns the largest [h, w] within height x width that has the aspect ratio of the images."""
    h, w = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float64))
    scale = tf.minimum(height / h, width / w)
    new_h = tf.clip_by_value(tf.cast(tf.round(h * scale), tf.int32), 1, height)
    new_w = tf.clip_by_value(tf.cast(tf.round(w * scale), tf.int32), 1, width)
    return tf.stack([new_h, new_w])


def _pad(images, height, width, background):
    """Returns [n, height, width, 3]: the images in the middle, `background` [3] beside them."""
    h, w = tf.unstack(tf.shape(images)[1:3])
    top, left = (height - h) // 2, (width - w) // 2
    margins = [[0, 0], [top, height - h - top], [left, width - w - left], [0, 0]]
    # Padded as a difference from the background, for tf.pad takes one number for all channels.
    return tf.pad(images - background, margins) + background


def _resize_rows(images, length):
    """Returns [n, length, w, c] float32 of [n, h, w, c]."""
    n, h, w, c = tf.unstack(tf.shape(images))
    # As images of one wide pixel a row: whole rows are added up then, which takes half the time.
    columns = tf.reshape(images, [n, h, 1, w * c])
    return tf.reshape(tf.image.resize(columns, [length, 1], method="bilinear", antialias=True), [n, length, w, c])


def _resize(images, size):
    """Returns [n, *size, c] float32 of [n, h, w, c]: antialiased, one axis after the other."""

    def resized():
        lines = tf.transpose(_resize_rows(images, size[0]), [0, 2, 1, 3])
        return tf.transpose(_resize_rows(lines, size[1]), [0, 2, 1, 3])

    same = tf.reduce_all(tf.shape(images)[1:3] == size)
    return tf.cond(same, lambda: tf.cast(images, tf.float32), resized)


def _premultiplied(rgba):
    """Returns [..., h, w, 4] uint16 of [..., h, w, 4] uint8: red, green and blue times alpha, and alpha."""
    # A pixel is one number of 32 bits here: to broadcast alpha over the colours takes several times as long.
    alpha = tf.bitwise.right_shift(tf.bitcast(rgba, tf.uint32), 24)
    factors = tf.bitcast(tf.bitwise.bitwise_or(alpha * 0x010101, 0x01000000), tf.uint8)
    return tf.cast(rgba, tf.uint16) * tf.cast(factors, tf.uint16)


def _is_transparent(images):
    """Returns whether any pixel of [n, h, w, 3 or 4] uint8 is less than opaque."""

    def below_255():
        # By whole pixels, whose highest byte alpha is: to cut alpha out first takes four times as long.
        return tf.reduce_min(tf.bitcast(tf.ensure_shape(images, [None, None, None, 4]), tf.uint32)) < 0xFF000000

    return tf.cond(tf.shape(images)[-1] == 4, below_255, lambda: False)


def _resize_premultiplied(rgba, size):
    """Returns [n, *size, 4] float32 of [n, h, w, 4] uint8: `_resize` of `_premultiplied`, in little memory."""

    def resized():
        n, h, w, _ = tf.unstack(tf.shape(rgba))
        blocks = 1 + n * h * w // _BLOCK
        edges = tf.range(blocks + 1, dtype=tf.int64) * tf.cast(w, tf.int64) // tf.cast(blocks, tf.int64)

        def columns(number, done):
            block = _premultiplied(rgba[:, :, edges[number] : edges[number + 1]])
            return number + 1, done.write(number, tf.transpose(_resize_rows(block, size[0]), [2, 0, 1, 3]))

        done = tf.TensorArray(tf.float32, blocks, infer_shape=False, element_shape=[None, None, None, 4])
        _, done = tf.while_loop(lambda number, _: number < blocks, columns, (0, done), parallel_iterations=1)
        lines = tf.transpose(done.concat(), [1, 0, 2, 3])
        return tf.transpose(_resize_rows(lines, size[1]), [0, 2, 1, 3])

    same = tf.reduce_all(tf.shape(rgba)[1:3] == size)
    return tf.cond(same, lambda: tf.cast(_premultiplied(rgba), tf.float32), resized)


def prepare(rgba, height, width, channels, fit, background_rgb):
    """Makes an image of any size what the model takes, or images of one size.

    Args:
        rgba: [h, w, 4] or [n, h, w, 4] uint8, or as many RGB pixels of 3 numbers.
        height, width: The size wanted, Python integers.
        channels: 1 for grey (BT.601 luma), 3 for RGB.
        fit: What becomes of another aspect ratio: "crop" keeps the middle, "pad" adds background, "stretch" distorts.
        background_rgb: Three numbers from 0 to 255: the colour behind transparent pixels and padding.

    Returns:
        [height, width, channels] or [n, height, width, channels] uint8.
    """
    if len(rgba.shape) == 3:
        return prepare(rgba[tf.newaxis], height, width, channels, fit, background_rgb)[0]
    background = tf.constant(background_rgb, tf.float32)
    if fit == "crop":
        rgba = _crop(rgba, height, width)
    size = _size_within(rgba, height, width) if fit == "pad" else [height, width]

    def composited():
        # Multiplied before the resize, for the colour of a transparent pixel must not bleed into its neighbours; put
        # on the background after it, where there are fewer pixels.
        images = _resize_premultiplied(tf.ensure_shape(rgba, [None, None, None, 4]), size)
        return (images[..., :3] + background * (255 - images[..., 3:])) / 255

    def resized():
        # As bytes: a large image as floats would take four times the memory.
        return _resize(rgba, size)[..., :3]

    if rgba.shape[-1] == 3:
        images = resized()
    else:  # Which may still turn out to have no alpha.
        images = tf.cond(_is_transparent(rgba), composited, resized)
    if fit == "pad":
        images = _pad(images, height, width, background)
    if channels == 1:
        images = tf.reduce_sum(images * _LUMA, axis=-1, keepdims=True)
    images = tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)
    return tf.ensure_shape(images, [rgba.shape[0], height, width, channels])
