"""What an export refuses, in the graph: each check raises INVALID_ARGUMENT with the input's name and the row.

Refused rather than passed on: a PNG cannot hold what is no number, and pixels from 0 to 255 would get an answer that
looks like one.
"""

import tensorflow as tf

_ROUNDING = 1e-3  # How far pixels may lie outside of [0, 1].
_LARGEST_STD, _LARGEST_LATENT = 1e3, 1e6  # Beyond them float32 overflows on the way, into images that are none.


def require(good, name, words):
    """Raises INVALID_ARGUMENT `name[row]: words` of the first row that is not good.

    Args:
        good: [B] bool.
        name: The input's name, str or scalar string.
        words: What was expected: str, or string [B], a text for each row.

    Returns:
        The assertion, for `tf.control_dependencies`.
    """
    row = tf.argmax(tf.concat([~good, [True]], axis=0))
    words = words if isinstance(words, str) else tf.concat([words, [""]], axis=0)[row]
    message = tf.strings.join([name, "[", tf.strings.as_string(row), "]: ", words])
    return tf.debugging.Assert(tf.reduce_all(good), [message])


def some(values, name):
    """Returns the assertion that `values` [B, ...] has rows: convolutions of none fail with a message of their own."""
    return tf.debugging.Assert(tf.shape(values)[0] > 0, [tf.strings.join([name, ": expected at least one row"])])


def _checked(values, good, name, words):
    # In a graph always: TensorFlow makes an operation of it.
    with tf.control_dependencies([some(values, name), require(good, name, words)]):
        return tf.identity(values)


def images(values, spec):
    """Returns `values`, [B, H, W, C] in [0, 1], once they have been found to be that."""
    # The runtime does not compare what it is fed with the signature.
    values = tf.ensure_shape(values, spec.shape)
    good = tf.reduce_all((values >= -_ROUNDING) & (values <= 1 + _ROUNDING), axis=[1, 2, 3])
    return _checked(values, good, spec.name, "expected numbers from 0 to 1")


def latents(values, spec):
    """Returns `values`, [B, Z] latents or noise, once they have been found to be numbers that can be computed with."""
    values = tf.ensure_shape(values, spec.shape)
    good = tf.reduce_all(tf.abs(values) <= _LARGEST_LATENT, axis=1)
    return _checked(values, good, spec.name, "expected finite numbers, from -1e6 to 1e6")


def std(values, spec):
    """Returns `values`, [B], once they have been found to lie in [0, 1000]."""
    values = tf.ensure_shape(values, spec.shape)
    return _checked(values, (values >= 0) & (values <= _LARGEST_STD), spec.name, "expected a number from 0 to 1000")


def weight(values, spec):
    """Returns `values`, [B], once they have been found to lie in [0, 1]."""
    values = tf.ensure_shape(values, spec.shape)
    return _checked(values, (values >= 0) & (values <= 1), spec.name, "expected a number from 0 to 1")


def rows(first, second, name):
    """Returns `second` once it has been found to have as many rows as `first`; `name` is that of `second`."""
    wanted, got = tf.shape(first)[0], tf.shape(second)[0]
    text = tf.strings.as_string
    message = tf.strings.join(
        [name, ": expected as many rows as the other inputs, ", text(wanted), ", got ", text(got)]
    )
    with tf.control_dependencies([tf.debugging.Assert(tf.equal(wanted, got), [message])]):
        return tf.identity(second)
