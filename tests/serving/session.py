"""A SavedModel in TensorFlow's C++ runtime, which TensorFlow Serving is made of, in a process of its own."""

import base64
import json
import pathlib
import subprocess
import sys
import threading

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

LIBRARY = pathlib.Path(tf.__file__).parent / "libtensorflow_cc.so.2"
INVALID_ARGUMENT = 3
_TYPES = {1: np.float32, 3: np.int32}
_CHILD = pathlib.Path(__file__).with_name("c_runtime.py")


class Refused(Exception):
    """The runtime's refusal: `code` is TensorFlow's, the text its message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Session:
    """Loads the version's folder `path` with the tag "serve"; `close` ends it."""

    def __init__(self, path):
        saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        found = saved.meta_graphs[0].signature_def.items()
        self.signatures = {name: one for name, one in found if not name.startswith("__")}
        command = [sys.executable, "-I", "-S", str(_CHILD), str(LIBRARY), str(path)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()
        assert json.loads(self._child.stdout.readline()) == {"loaded": True}

    def run(self, name, inputs):
        """Returns {output: array} of the signature `name` for {input: array}; raises `Refused`."""
        signature = self.signatures[name]
        request = {
            "inputs": {signature.inputs[key].name: _sent(value) for key, value in inputs.items()},
            "outputs": [info.name for info in signature.outputs.values()],
        }
        with self._lock:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
            answer = json.loads(self._child.stdout.readline())
        if answer["code"]:
            raise Refused(answer["code"], answer["message"])
        return {key: _received(answer["outputs"][info.name]) for key, info in signature.outputs.items()}

    def close(self):
        self._child.stdin.close()
        self._child.stdout.close()
        self._child.wait()


def _sent(array):
    kind = {"f": 1, "i": 3, "O": 7}[array.dtype.kind]
    flat = array.reshape(-1).tolist()
    values = [base64.b64encode(value).decode() for value in flat] if kind == 7 else flat
    return {"type": kind, "shape": list(array.shape), "values": values}


def _received(value):
    if value["type"] == 7:
        return np.array([base64.b64decode(text) for text in value["values"]], object).reshape(value["shape"])
    return np.array(value["values"], _TYPES[value["type"]]).reshape(value["shape"])


def example_inputs(served, rows=3):
    """Returns {signature: {input: array}} with that many different rows for every signature of a `Served`."""
    random = np.random.default_rng(1)
    images = random.uniform(size=(rows, *served.image_shape)).astype(np.float32)
    files = np.array([tf.io.encode_png(np.uint8(255 * image)).numpy() for image in images], object)
    weight = np.linspace(0, 1, rows, dtype=np.float32)
    latents = {"latents": random.normal(size=(rows, served.latent_dim)).astype(np.float32)}
    seeds = np.array([[7 * row, row] for row in range(rows)], np.int32)
    noise = {"seed": seeds, "std": np.linspace(0.8, 1.2, rows, dtype=np.float32)}
    return {
        "serving_default": {"images": images},
        "reconstruct": {"images": images},
        "reconstruct_bytes": {"image_bytes": files},
        "encode": {"images": images},
        "encode_bytes": {"image_bytes": files},
        "decode": latents,
        "decode_bytes": latents,
        "generate": noise,
        "generate_bytes": noise,
        "interpolate": {"images_a": images, "images_b": images[::-1].copy(), "weight": weight},
        "interpolate_bytes": {"image_bytes_a": files, "image_bytes_b": files[::-1].copy(), "weight": weight},
        "to_base": latents,
        "from_base": {"noise": latents["latents"]},
        "refine": latents,
        "sampler_log_prob": latents,
        "prepare_bytes": {"image_bytes": files},
        "log_prob": {"images": images, **latents},
    }


def assert_same(answer, expected, shape, words=""):
    """Holds {output: array} to another one: numbers to 1e-5, PNG files of `shape` [H, W, C] to one grey level."""
    assert set(answer) == set(expected), words
    for key, value in answer.items():
        assert len(value) == len(expected[key]), words
        if key.endswith("_bytes"):
            for one, other in zip(value, expected[key], strict=True):
                one, other = (tf.io.decode_png(contents).numpy().astype(int) for contents in (one, other))
                assert one.shape == other.shape == tuple(shape) and np.abs(one - other).max() <= 1, words
        else:
            np.testing.assert_allclose(value, expected[key], atol=1e-5, rtol=1e-5, err_msg=f"{words}: {key}")
