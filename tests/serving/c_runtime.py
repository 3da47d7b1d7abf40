"""Runs a SavedModel in TensorFlow's C++ runtime: `python -I -S c_runtime.py LIBRARY SAVED_MODEL`.

Only the C library of TensorFlow is loaded: no Python package can be imported here, this project's own included.
Each line of standard input is a request, JSON {"inputs": {tensor: {"type", "shape", "values"}}, "outputs": [tensor]};
it is answered by a line {"code", "message", "outputs": {tensor: {"type", "shape", "values"}}}. Strings are in base64.
The first line, before all requests, is {"loaded": true}.
"""

import array
import base64
import ctypes
import json
import math
import sys

_FLOAT, _INT32, _STRING = 1, 3, 7  # TF_DataType.
_LETTER = {_FLOAT: "f", _INT32: "i"}
_STRING_SIZE = 24  # sizeof(TF_TString).


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Runtime:
    def __init__(self, library):
        self._c = ctypes.CDLL(library)

    def call(self, name, *arguments, returns=ctypes.c_void_p):
        function = getattr(self._c, name)
        function.restype = returns
        return function(*arguments)

    def pointer(self, name, *arguments):
        return ctypes.c_void_p(self.call(name, *arguments))

    def load(self, path):
        self.graph, self.status = self.pointer("TF_NewGraph"), self.pointer("TF_NewStatus")
        options = self.pointer("TF_NewSessionOptions")
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = self.pointer(
            "TF_LoadSessionFromSavedModel", options, None, path.encode(), tags, 1, self.graph, None, self.status
        )
        code, message = self.state()
        if code:
            sys.exit(f"not loaded: {message}")

    def state(self):
        message = self.call("TF_Message", self.status, returns=ctypes.c_char_p).decode()
        return self.call("TF_GetCode", self.status, returns=ctypes.c_int), message

    def output(self, tensor):
        name, index = tensor.split(":")
        return _Output(self.call("TF_GraphOperationByName", self.graph, name.encode()), int(index))

    def tensor(self, value):
        kind, shape, values = value["type"], value["shape"], value["values"]
        is_string = kind == _STRING
        contents = b"" if is_string else array.array(_LETTER[kind], values).tobytes()
        size = _STRING_SIZE * len(values) if is_string else len(contents)
        sizes = (ctypes.c_int64 * len(shape))(*shape)
        tensor = self.pointer("TF_AllocateTensor", kind, sizes, len(shape), ctypes.c_size_t(size))
        data = self.call("TF_TensorData", tensor)
        if is_string:
            for number, text in enumerate(map(base64.b64decode, values)):
                at = ctypes.c_void_p(data + _STRING_SIZE * number)
                self.call("TF_StringInit", at, returns=None)
                self.call("TF_StringCopy", at, text, ctypes.c_size_t(len(text)), returns=None)
        else:
            ctypes.memmove(data, contents, size)
        return tensor

    def value(self, tensor):
        kind = self.call("TF_TensorType", tensor, returns=ctypes.c_int)
        rank = self.call("TF_NumDims", tensor, returns=ctypes.c_int)
        shape = [self.call("TF_Dim", tensor, axis, returns=ctypes.c_int64) for axis in range(rank)]
        data = self.call("TF_TensorData", tensor)
        if kind == _STRING:
            values = []
            for number in range(math.prod(shape)):
                at = ctypes.c_void_p(data + _STRING_SIZE * number)
                size = self.call("TF_StringGetSize", at, returns=ctypes.c_size_t)
                text = ctypes.string_at(self.call("TF_StringGetDataPointer", at), size)
                values.append(base64.b64encode(text).decode())
        else:
            size = self.call("TF_TensorByteSize", tensor, returns=ctypes.c_size_t)
            values = list(array.array(_LETTER[kind], ctypes.string_at(data, size)))
        return {"type": kind, "shape": shape, "values": values}

    def run(self, request):
        names, wanted = list(request["inputs"]), request["outputs"]
        inputs = (_Output * len(names))(*map(self.output, names))
        tensors = (ctypes.c_void_p * len(names))(*(self.tensor(request["inputs"][name]) for name in names))
        outputs = (_Output * len(wanted))(*map(self.output, wanted))
        answers = (ctypes.c_void_p * len(wanted))()
        arguments = (self.session, None, inputs, tensors, len(names), outputs, answers, len(wanted), None, 0, None)
        self.call("TF_SessionRun", *arguments, self.status, returns=None)
        code, message = self.state()
        values = {} if code else {n: self.value(ctypes.c_void_p(a)) for n, a in zip(wanted, answers)}  # noqa: B905
        return {"code": code, "message": message, "outputs": values}


if __name__ == "__main__":
    library, saved_model = sys.argv[1:]
    for package in ("tfvae", "tensorflow", "keras", "numpy"):
        try:
            __import__(package)
            sys.exit(f"{package} can be imported: this would prove nothing.")
        except ImportError:
            pass
    runtime = Runtime(library)
    runtime.load(saved_model)
    print('{"loaded": true}', flush=True)
    for line in sys.stdin:
        print(json.dumps(runtime.run(json.loads(line))), flush=True)
