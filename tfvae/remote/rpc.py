"""TensorFlow Serving's gRPC interface, through tensorflow-serving-api."""

import numpy as np

from tfvae.remote import rest
from tfvae.settings import UserError

_LARGEST = 256 * 1024 * 1024  # Bytes of a message; gRPC's own limit of 4 MB is less than a hundred images.


class Rpc:
    """One model of one server; see `remote.connect`."""

    def __init__(self, server, name, version, timeout):
        try:
            import grpc
            import tensorflow as tf
            from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError(f"--server={server}: gRPC needs pip install 'tfvae[serving]': {error}.") from None
        self._grpc, self._tf, self._predict = grpc, tf, predict_pb2
        limits = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]
        channel = grpc.insecure_channel(server.removeprefix("grpc://").rstrip("/"), options=limits)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._model = model_pb2.ModelSpec(name=name)
        if version:
            self._model.version.value = version
        self._server, self._timeout = server, timeout

    def call(self, signature, output, **inputs):
        """Calls a signature and returns one of its outputs; arguments, answers and errors as `Rest.call`'s."""
        request = self._predict.PredictRequest(model_spec=self._model, output_filter=[output])
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(self._tf.make_tensor_proto(_array(name, value)))
        try:
            answer = self._stub.Predict(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            if error.code() is self._grpc.StatusCode.DEADLINE_EXCEEDED:
                raise UserError(f"{self._server}: no answer within --timeout={self._timeout:g} seconds.") from None
            raise UserError(f"{self._server}: {error.code().name}: {rest.one_line(str(error.details()))}") from None
        if output not in answer.outputs:
            raise UserError(f"{self._server}: expected an answer with {output!r}, got {sorted(answer.outputs)}.")
        return self._tf.make_ndarray(answer.outputs[output]).tolist()


def _array(name, value):
    """Returns a list as an array of the type that the signatures' input `name` has; UserError where it cannot be."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    # Objects: of NumPy's own strings, zeros at the end would be lost.
    kind = object if name.startswith("image_bytes") else np.int32 if name == "seed" else np.float32
    try:
        return np.array(value, kind)
    except (OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{name}: {error}.") from None
