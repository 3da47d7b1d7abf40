"""The same SavedModel in a C++ program of a few lines, and in OpenVINO."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from session import LIBRARY, assert_same, example_inputs
from tensorflow.core.framework import tensor_pb2

_SOURCE = pathlib.Path(__file__).with_name("predict.cc")
pytestmark = pytest.mark.parametrize("exported", ["colour"], indirect=True)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """`predict.cc`, compiled against the TensorFlow that is installed."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler (g++ or clang++) on this machine")
    if not LIBRARY.exists():
        pytest.skip("this TensorFlow comes without its C++ library")
    binary, folder = tmp_path_factory.mktemp("program") / "predict", LIBRARY.parent
    libraries = [f"-L{folder}", "-Wl,--no-as-needed", f"-l:{LIBRARY.name}", "-l:libtensorflow_framework.so.2"]
    command = [compiler, "-O0", "-w", *tf.sysconfig.get_compile_flags(), str(_SOURCE), *libraries]
    subprocess.run([*command, f"-Wl,-rpath,{folder}", "-o", str(binary)], check=True)
    return binary


def test_a_cpp_program_lists_the_signatures_and_runs_each(exported, program, tmp_path):
    inputs = example_inputs(exported.served)
    for name, arrays in inputs.items():
        (tmp_path / name).mkdir()
        for key, value in arrays.items():
            (tmp_path / name / key).write_bytes(tf.make_tensor_proto(value).SerializeToString())
    ran = subprocess.run([program, exported.served.path, tmp_path], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    listed = {line.split(" : ")[0]: line.split(" : ")[1:] for line in ran.stdout.splitlines() if " : " in line}
    assert set(listed) == set(inputs)
    for name, (keys, outputs, status) in listed.items():
        assert status == "OK", (name, status)
        assert set(keys.split()) == set(inputs[name])
        answer = {}
        for key in outputs.split():
            contents = (tmp_path / name / f"{key}.out").read_bytes()
            answer[key] = tf.make_ndarray(tensor_pb2.TensorProto.FromString(contents))
        assert_same(answer, exported.served.call(name, **inputs[name]), exported.vae.image_shape, name)


@pytest.fixture(scope="session")
def loaded(exported):
    return tf.saved_model.load(str(exported.served.path))


# Not `interpolate`, whose loop takes most of a minute to convert.
@pytest.mark.parametrize("name", ["reconstruct", "encode", "decode"])
def test_openvino_computes_the_same(exported, loaded, name):
    openvino = pytest.importorskip("openvino")
    arrays = example_inputs(exported.served)[name]
    expected = exported.served.call(name, **arrays)
    # OpenVINO converts one graph, and a signature is one: it is saved alone, from what the SavedModel loads to.
    model = openvino.convert_model(loaded.signatures[name])
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer = compiled(arrays)
    found = {port.get_any_name(): value for port, value in answer.items()}
    values = list(found.values())
    assert len(values) == len(expected)
    for key, value in expected.items():
        same_shape = [one for one in values if one.shape == value.shape]
        assert min(np.abs(one - value).max() for one in same_shape) <= 1e-4, key
