"""TensorFlow Serving's two interfaces, as thin as its documented rules allow, over a session of the C++ runtime.

One version of one model is served. Rules and messages are those of tensorflow_serving/util/json_tensor.cc,
model_servers/http_rest_api_handler.cc, http_server.cc and servables/tensorflow/predict_util.cc.
"""

import base64
import binascii
import http.server
import json
import re
import threading
from concurrent import futures

import numpy as np
import session

_TYPES = {1: np.float32, 3: np.int32, 7: object}
_PREDICT = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict")
_STATUS = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?")


class Invalid(Exception):
    """A request that is answered by 400."""


class NotFound(Exception):
    """A request that is answered by 404."""


class Model:
    """A name, a version, and the `session.Session` that has it."""

    def __init__(self, name, version, opened):
        self.name, self.version, self.session = name, version, opened

    def check(self, name, version):
        if name != self.name or version not in (None, self.version):
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise NotFound(f"Servable not found for request: {which}")


def _is_b64(value):
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _shape(value):
    """Returns the shape of nested lists as the server reads it: from the first element of each level."""
    return [len(value), *(_shape(value[0]) if value else [])] if isinstance(value, list) else []


def _fill(value, shape, kind, flat, level=0):
    if isinstance(value, list):
        if level >= len(shape):
            raise Invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise Invalid(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for one in value:
            _fill(one, shape, kind, flat, level + 1)
        return
    if level != len(shape):
        raise Invalid(
            f"JSON Value: {json.dumps(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if kind == 7 and _is_b64(value):
        try:
            flat.append(base64.b64decode(value["b64"], validate=True))
        except binascii.Error:
            raise Invalid("Unable to base64 decode") from None
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {1: number, 3: number and isinstance(value, int), 7: isinstance(value, str)}[kind]
    if not fits:
        expected = {1: "float", 3: "int32", 7: "string"}[kind]
        raise Invalid(f"JSON Value: {json.dumps(value)} Type: is not of expected type: {expected}")
    flat.append(value.encode() if kind == 7 else value)


def _array(value, info):
    flat, shape = [], _shape(value)
    _fill(value, shape, info.dtype, flat)
    made = np.empty(len(flat), _TYPES[info.dtype])
    made[:] = flat
    return made.reshape(shape)


def _rows(instances, inputs):
    """Returns {input: array} of the row form."""
    if not isinstance(instances, list) or not instances:
        raise Invalid("JSON Value: No values in 'instances' array")
    objects = isinstance(instances[0], dict) and not _is_b64(instances[0])
    if not objects and len(inputs) > 1:
        raise Invalid("instances is a plain list, but expecting list of objects as multiple input tensors required")
    columns = {name: [] for name in inputs}
    for number, one in enumerate(instances):
        if objects != (isinstance(one, dict) and not _is_b64(one)):
            raise Invalid(f"Expecting {'object but got list' if objects else 'value/list but got object'} at {number}")
        row = one if objects else {next(iter(inputs)): one}
        if set(row) != set(inputs):
            keys = ",".join(sorted(inputs))
            raise Invalid(f"Failed to process element: {number} of 'instances' list. keys must be equal to: {keys}")
        for name, value in row.items():
            array = _array(value, inputs[name])
            if columns[name] and columns[name][0].shape != array.shape:
                raise Invalid(f"Expecting shape {columns[name][0].shape} but got: {array.shape}")
            columns[name].append(array)
    stacked = {name: np.empty([len(rows), *rows[0].shape], rows[0].dtype) for name, rows in columns.items()}
    for name, rows in columns.items():
        for number, row in enumerate(rows):
            stacked[name][number] = row[()] if row.ndim == 0 else row
    return stacked


def _columns(given, inputs):
    """Returns {input: array} of the columnar form."""
    if not isinstance(given, dict) or _is_b64(given):
        if len(inputs) > 1:
            raise Invalid("inputs is a plain value/list, but expecting an object as multiple input tensors required")
        return {name: _array(given, info) for name, info in inputs.items()}
    missing = [name for name in inputs if name not in given]
    if missing:
        raise Invalid(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {name: _array(given[name], info) for name, info in inputs.items()}


def _json(name, array):
    if array.dtype != object:
        return array.tolist()
    as_bytes = name.endswith("_bytes")
    return [{"b64": base64.b64encode(one).decode()} if as_bytes else one.decode() for one in array]


def predict(model, name, version, body):
    """Answers the body of a predict request: a JSON object."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise Invalid(f"JSON Parse error: {error}") from None
    if not isinstance(request, dict):
        raise Invalid("JSON Value: Is not object")
    signature_name = request.get("signature_name", "serving_default")
    if not isinstance(signature_name, str):
        raise Invalid("not formatted correctly. 'signature_name' key must be a string value.")
    model.check(name, version)
    if signature_name not in model.session.signatures:
        raise Invalid(f'Serving signature name: "{signature_name}" not found in signature def')
    inputs = model.session.signatures[signature_name].inputs
    if ("instances" in request) == ("inputs" in request):
        both = "instances" in request
        raise Invalid(
            "expecting only one of 'inputs' or 'instances'" if both else "Missing 'inputs' or 'instances' key"
        )
    in_rows = "instances" in request
    arrays = _rows(request["instances"], inputs) if in_rows else _columns(request["inputs"], inputs)
    outputs = {key: _json(key, array) for key, array in model.session.run(signature_name, arrays).items()}
    single = next(iter(outputs.values())) if len(outputs) == 1 else None
    if not in_rows:
        return {"outputs": outputs if single is None else single}
    rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return {"predictions": rows if single is None else single}


def rest(model):
    """Starts the REST interface on a free port; returns the server, which `shutdown` and `server_close` end."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def _answer(self, work):
            try:
                status, answer = 200, work()
            except NotFound as error:
                status, answer = 404, {"error": str(error)}
            except Invalid as error:
                status, answer = 400, {"error": str(error)}
            except session.Refused as error:
                status = 400 if error.code == session.INVALID_ARGUMENT else 500
                answer = {"error": str(error)}
            contents = json.dumps(answer, indent=4).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(contents)))
            self.end_headers()
            self.wfile.write(contents)

        def _version(self, found):
            return None if found[2] is None else int(found[2])

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def work():
                found = _PREDICT.fullmatch(self.path)
                if not found:
                    raise Invalid(f"Malformed request: POST {self.path}")
                return predict(model, found[1], self._version(found), body)

            self._answer(work)

        def do_GET(self):
            def work():
                found = _STATUS.fullmatch(self.path)
                if not found:
                    raise Invalid(f"Malformed request: GET {self.path}")
                model.check(found[1], self._version(found))
                status = {"version": str(model.version), "state": "AVAILABLE"}
                return {"model_version_status": [{**status, "status": {"error_code": "OK", "error_message": ""}}]}

            self._answer(work)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def rpc(model):
    """Starts the gRPC interface on a free port; returns (the server, which `stop` ends, the port)."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            spec = request.model_spec
            try:
                model.check(spec.name, spec.version.value if spec.HasField("version") else None)
            except NotFound as error:
                context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            name = spec.signature_name or "serving_default"
            if name not in model.session.signatures:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            if set(inputs) != set(model.session.signatures[name].inputs):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "input size does not match signature")
            try:
                outputs = model.session.run(name, inputs)
            except session.Refused as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            answer = predict_pb2.PredictResponse(model_spec=spec)
            for key in request.output_filter or outputs:
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
