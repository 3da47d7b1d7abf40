"""An export runs in TensorFlow's C++ runtime, which TensorFlow Serving is made of, without any Python package."""

import base64
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_CHILD = pathlib.Path(__file__).with_name("c_runtime.py")
_LIBRARY = pathlib.Path(tf.__file__).parent / "libtensorflow_cc.so.2"
_TYPES = {1: np.float32, 3: np.int32}
_INVALID_ARGUMENT = 3

pytestmark = pytest.mark.skipif(not _LIBRARY.exists(), reason="this TensorFlow comes without its C++ library")


def _sent(array):
    kind = {"f": 1, "i": 3, "O": 7}[array.dtype.kind]
    flat = array.reshape(-1).tolist()
    values = [base64.b64encode(value).decode() for value in flat] if kind == 7 else flat
    return {"type": kind, "shape": list(array.shape), "values": values}


def _received(value):
    if value["type"] == 7:
        return np.array([base64.b64decode(text) for text in value["values"]], object).reshape(value["shape"])
    return np.array(value["values"], _TYPES[value["type"]]).reshape(value["shape"])


def _run(path, calls, folder):
    """Calls signatures, [(name, {input: array})], in the C++ runtime; returns [(status code, {output: array})]."""
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    requests = [
        {
            "inputs": {signatures[name].inputs[key].name: _sent(value) for key, value in inputs.items()},
            "outputs": [info.name for info in signatures[name].outputs.values()],
        }
        for name, inputs in calls
    ]
    (folder / "requests.json").write_text(json.dumps(requests))
    arguments = [_LIBRARY, path, folder / "requests.json", folder / "answers.json"]
    child = subprocess.run([sys.executable, "-I", "-S", _CHILD, *arguments], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-2000:]
    answers = json.loads((folder / "answers.json").read_text())
    return [
        (
            answer["code"],
            {
                key: _received(answer["outputs"][info.name])
                for key, info in signatures[name].outputs.items()
                if answer["outputs"]
            },
        )
        for (name, _), answer in zip(calls, answers, strict=True)
    ]


def test_every_signature_answers_there_as_it_does_here(exported, random, tmp_path):
    served, shape = exported.served, (3, *exported.vae.image_shape)
    images = random.uniform(size=shape).astype(np.float32)
    files = np.array([tf.io.encode_png(np.uint8(255 * image)).numpy() for image in images], object)
    weight = np.array([0, 0.3, 1], np.float32)
    latents = {"latents": random.normal(size=(3, 4)).astype(np.float32)}
    noise = {"seed": np.array([[0, 0], [0, 1], [7, 1]], np.int32), "std": np.array([0.8, 1, 0], np.float32)}
    inputs = {
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
        "prepare_bytes": {"image_bytes": files},
    }
    described = json.loads((served.path / "assets.extra" / "signatures.json").read_text())["signatures"]
    assert set(inputs) == set(described)
    undecodable = ("reconstruct_bytes", {"image_bytes": np.array([files[0], b"no image"], object)})
    *answers, refused = _run(served.path, [*inputs.items(), undecodable], tmp_path)
    assert refused == (_INVALID_ARGUMENT, {})
    for (name, arrays), (code, answer) in zip(inputs.items(), answers, strict=True):
        assert code == 0, name
        expected = served.call(name, **arrays)
        assert set(answer) == set(expected) == set(described[name]["outputs"])
        for key, value in answer.items():
            if key.endswith("_bytes"):
                pixels = [tf.io.decode_png(one).numpy().astype(int) for one in (*value, *expected[key])]
                assert all(one.shape == shape[1:] for one in pixels)
                assert max(np.abs(a - b).max() for a, b in zip(pixels[:3], pixels[3:], strict=True)) <= 1
            else:
                assert value.dtype == np.float32 and math.prod(value.shape[1:]) > 1
                np.testing.assert_allclose(value, expected[key], atol=1e-5, rtol=1e-5, err_msg=f"{name}: {key}")
