"""Warm-up requests: TensorFlow Serving runs them while it loads a version, so that no user waits for a first call."""

import os

import numpy as np
import tensorflow as tf


def request_inputs(described, image_shape):
    """Returns one request of one row for each signature: {signature: {input name: array}}.

    Args:
        described: The signatures as `signatures.json` holds them.
        image_shape: (H, W, C).
    """
    grey = np.full(image_shape, 128, np.uint8)
    file = np.array([tf.io.encode_png(grey).numpy()], object)
    requests = {}
    for name, signature in described.items():
        requests[name] = {
            key: file if spec["dtype"] == "string" else np.zeros([1, *spec["shape"][1:]], spec["dtype"])
            for key, spec in signature["inputs"].items()
        }
    return requests


def write(described, image_shape, path):
    """Writes the requests to `path`; returns False, and writes nothing, without tensorflow-serving-api."""
    try:
        from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2
    except ImportError:
        return False
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for name, inputs in request_inputs(described, image_shape).items():
            request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=name))
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return True
