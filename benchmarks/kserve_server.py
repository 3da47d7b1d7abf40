"""A KServe model server of one export, as `benchmarks/serving.py` starts it, in an environment of its own.

    python benchmarks/kserve_server.py --model_dir=saved_models/NAME/VERSION --batching=true --http_port=8080

It needs kserve and tensorflow, nothing of tfvae: the SavedModel is opened by `tf.saved_model.load` and called through
its signatures. The V1 protocol's `POST /v1/models/NAME:predict` takes and gives the JSON that TensorFlow Serving does:
`signature_name`, and `instances` in row form, files as `{"b64": ...}`. KServe listens on all addresses of a machine.
"""

import argparse
import asyncio
import base64
import concurrent.futures

import kserve
import numpy as np
import tensorflow as tf

_THREADS = 64  # Requests in the model at once: as many as clients may wait, or no batch could fill.


def batched(name, signature, threads, most_rows, wait_microseconds):
    """Returns `signature` with the rows of simultaneous calls merged by TensorFlow's batch scheduler.

    It is the scheduler of TensorFlow Serving's own batching, with the same settings.

    Args:
        name: Its name; no other signature may have the same.
        signature: A signature of a SavedModel: named tensors with a batch axis in and out.
        threads: Batches in work at once (`num_batch_threads`).
        most_rows: Rows of the largest batch (`max_batch_size`).
        wait_microseconds: How long a batch that is not full waits for more rows (`batch_timeout_micros`).
    """
    inputs, outputs = signature.structured_input_signature[1], sorted(signature.structured_outputs)

    @tf.nondifferentiable_batch_function(threads, most_rows, wait_microseconds, max_enqueued_batches=100)
    def merged(*columns):
        answer = signature(**dict(zip(inputs, columns, strict=True)))
        return [answer[name] for name in outputs]

    @tf.function(input_signature=list(inputs.values()), autograph=False)
    def call(*columns):
        with tf.name_scope(name):  # The queue takes its name from here: the same one would be shared.
            return merged(*columns)

    return lambda **columns: dict(zip(outputs, call(*(columns[name] for name in inputs)), strict=True))


class Export(kserve.Model):
    """The SavedModel in `folder`, its signatures called as they are or, where `merge` is given, through it."""

    def __init__(self, name, folder, merge=None):
        super().__init__(name)
        self._loaded = tf.saved_model.load(folder)  # Kept: it owns the weights.
        self._inputs = {key: value.structured_input_signature[1] for key, value in self._loaded.signatures.items()}
        self._calls = {key: merge(key, value) if merge else value for key, value in self._loaded.signatures.items()}
        self._pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
        self.ready = True

    async def predict(self, payload, headers=None):
        """Answers one request in a thread of its own, so that the server goes on to read others."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, payload)

    def _answer(self, payload):
        name = payload.get("signature_name", "serving_default")
        if name not in self._calls:
            raise kserve.errors.InvalidInput(f"No signature {name!r}; there are {sorted(self._calls)}.")
        try:
            columns = {key: _column(payload["instances"], spec) for key, spec in self._inputs[name].items()}
            answer = self._calls[name](**columns)
        except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise kserve.errors.InvalidInput(f"{type(error).__name__}: {error}") from error
        return {"predictions": _rows({key: value.numpy() for key, value in answer.items()})}


def _column(instances, spec):
    """Returns the tensor [B, ...] of the input `spec` in B instances."""
    values = [instance[spec.name] for instance in instances]
    if spec.dtype == tf.string:
        return tf.constant([base64.b64decode(value["b64"]) for value in values], tf.string, [len(values)])
    return tf.constant(np.array(values, spec.dtype.as_numpy_dtype))


def _rows(columns):
    """Returns one JSON value a row: an object of the outputs, or the value itself of a single output."""
    lists = {
        name: [{"b64": base64.b64encode(row).decode()} for row in column]
        if name.endswith("_bytes")
        else column.tolist()
        for name, column in columns.items()
    }
    if len(lists) == 1:
        return next(iter(lists.values()))
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], parents=[kserve.model_server.parser])
    parser.add_argument("--model_dir", required=True, help="One version's folder of an export.")
    parser.add_argument("--batching", choices=["true", "false"], default="false", help="Merge simultaneous requests.")
    parser.add_argument("--batch_threads", type=int, default=2, help="Batches in work at once.")
    parser.add_argument("--max_batch_size", type=int, default=32, help="Rows of the largest batch.")
    parser.add_argument("--batch_timeout_micros", type=int, default=2000, help="How long a batch waits for more rows.")
    options = parser.parse_args()

    def merge(name, signature):
        return batched(name, signature, options.batch_threads, options.max_batch_size, options.batch_timeout_micros)

    model = Export(options.model_name, options.model_dir, merge if options.batching == "true" else None)
    kserve.ModelServer().start([model])


if __name__ == "__main__":
    main()
