"""The convolutions of the default network alone, as `training_profile.py` asks.

`python training_convolutions.py WAY THREADS`: WAY is xla or pytorch, in an environment that has it. Prints
{"H C part": milliseconds} in JSON.
"""

import json
import statistics
import sys
import time

BATCH_SIZE = 5
SHAPES = ((15, 64), (8, 96))  # Height and width, and channels, of the residual blocks.
PARTS = ("forward", "of images", "of kernels")  # A convolution, and the two gradients of it.
CALLS, ROUNDS = 60, 5


def milliseconds(call):
    """Returns the median of what `call()` takes; it returns when its result is there."""
    for _ in range(3):
        call()
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - start) / CALLS)
    return 1000 * statistics.median(rounds)


def with_xla(threads):
    """Returns {"H x H x C part": milliseconds} of convolutions that XLA has compiled, less what an empty call takes."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)

    def time_of(function, *arguments):
        compiled = tf.function(function, jit_compile=True)
        return milliseconds(lambda: compiled(*arguments).numpy())

    def of_kernels(x, gradient):
        shape = [3, 3, x.shape[-1], gradient.shape[-1]]
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=shape, out_backprop=gradient, strides=[1, 1, 1, 1], padding="SAME"
        )

    found = {}
    for size, channels in SHAPES:
        x, gradient = (tf.random.normal((BATCH_SIZE, size, size, channels)) for _ in range(2))
        kernel = tf.random.normal((3, 3, channels, channels))
        empty_image, empty_kernel = (time_of(lambda x: x + 1.0, value) for value in (x, kernel))
        found[f"{size} {channels} forward"] = (
            time_of(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), x, kernel) - empty_image
        )
        found[f"{size} {channels} of images"] = (
            time_of(
                lambda g, k: tf.nn.conv2d(g, tf.transpose(k[::-1, ::-1], [0, 1, 3, 2]), 1, "SAME"), gradient, kernel
            )
            - empty_image
        )
        found[f"{size} {channels} of kernels"] = time_of(of_kernels, x, gradient) - empty_kernel
    return found


def with_pytorch(threads):
    """Returns the same of PyTorch's convolutions."""
    import torch

    torch.set_num_threads(threads)
    found = {}
    for size, channels in SHAPES:
        x, gradient, kernel = (
            torch.randn(shape).contiguous(memory_format=torch.channels_last)
            for shape in (*[(BATCH_SIZE, channels, size, size)] * 2, (channels, channels, 3, 3))
        )
        for part, wanted in zip(PARTS, (None, (True, False, False), (False, True, False)), strict=True):

            def call(x=x, gradient=gradient, kernel=kernel, wanted=wanted):
                if wanted is None:
                    return torch.nn.functional.conv2d(x, kernel, padding=1)
                return torch.ops.aten.convolution_backward(
                    gradient, x, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted
                )

            found[f"{size} {channels} {part}"] = milliseconds(call)
    return found


if __name__ == "__main__":
    print(json.dumps({"xla": with_xla, "pytorch": with_pytorch}[sys.argv[1]](int(sys.argv[2]))))
