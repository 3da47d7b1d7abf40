"""Image files to pixels within an export: as in training, and with the row's number where a file cannot be read."""

import tensorflow as tf

from tfvae.data import fitting
from tfvae.data import images as image_files
from tfvae.serving import checks

_PARALLEL = 8  # Files decoded at once for one request: bounds the memory that large ones take.


def read(image_bytes, name, image_shape, fit, background_rgb, max_pixels):
    """Returns what the model sees of image files.

    Args:
        image_bytes: string [B], the files' contents.
        name: Scalar string, the input's name.
        image_shape, fit, background_rgb: As for `fitting.prepare`.
        max_pixels: As for `images.complaint`.

    Returns:
        [B, H, W, C] float32 in [0, 1].

    Raises:
        tf.errors.InvalidArgumentError: `image_bytes[3]: expected ...` of the first file that cannot be read.
    """

    # A call of its own: inlined, the decoders would be set up anew for each request.
    @tf.function(
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
    def read_one(contents):
        complaint = image_files.complaint(contents, max_pixels)

        def pixels():
            rgba = image_files.decode(contents, max_pixels=None, wanted=image_shape[:2])
            return fitting.prepare(rgba, *image_shape, fit, background_rgb)

        return tf.cond(complaint == "", pixels, lambda: tf.zeros(image_shape, tf.uint8)), complaint

    count = tf.size(image_bytes, tf.int64)
    # tf.data, for it alone goes on where a decoder raises. A row in front, for there must be one.
    front = tf.data.Dataset.from_tensors((tf.constant(-1, tf.int64), tf.zeros(image_shape, tf.uint8), tf.constant("")))
    files = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes)).map(
        lambda row, contents: (row, *read_one(contents)), num_parallel_calls=_PARALLEL
    )
    read_rows = front.concatenate(files.ignore_errors()).batch(count + 1).with_options(_plain())
    rows, pixels, complaints = (column[1:] for column in read_rows.get_single_element())
    sizes = tf.strings.as_string(tf.strings.length(image_bytes))
    damaged = tf.strings.join(["expected a whole image file, got ", sizes, " bytes that cannot be decoded"])
    complaints = tf.tensor_scatter_nd_update(damaged, rows[:, tf.newaxis], complaints)
    with tf.control_dependencies([checks.some(image_bytes, name), checks.require(complaints == "", name, complaints)]):
        return tf.cast(tf.ensure_shape(pixels, [None, *image_shape]), tf.float32) / 255.0


def _plain():
    """Returns options under which tf.data does not study a pipeline that lives for one request."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_optimization.inject_prefetch = False
    return options
