#!/usr/bin/env bash
# A converted TensorFlow model may be wrong on plain functions: OpenVINO forgets the axis of log_softmax, LiteRT overflows softplus.
#
# Versions: tensorflow 2.21.0, openvino 2026.4.1, ai-edge-litert 2.3.0, numpy 2.4.6; x86-64.
# Seen, without a warning:
#   - OpenVINO: tf.nn.log_softmax(x, axis) with any axis but the last is converted to a log_softmax over the last axis, also
#     for 4-D images. tf.nn.softmax keeps its axis, so probabilities are right where log-probabilities are wrong.
#   - OpenVINO: softplus(-20) is -1.9e-06, so sqrt(softplus(-20)), a standard deviation, is NaN.
#   - OpenVINO: relu(NaN) and clip_by_value(NaN, 0, 1) are 0, so a broken input or weight gives a clean image.
#   - LiteRT: softplus(89) is inf, log_sigmoid(-100) is -inf, and softplus(NaN) is 0: the converter writes log(1 + exp(x)).
# Expected: float32 models agree with TensorFlow to about 1e-6 on ordinary values, and NaN stays NaN.
# Instead: write x - tf.reduce_logsumexp(x, axis, keepdims=True), and relu(x) + log1p(exp(-|x|)) for softplus, with a floor
# (maximum(., 1e-6)) where something divides by it or takes its root. Compare exports with TensorFlow on extreme inputs too.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q tensorflow==2.21.0 openvino==2026.4.1 ai-edge-litert==2.3.0 numpy==2.4.6
cat > "$tmp/run.py" <<'PY'
import sys
import tempfile

import numpy as np
import openvino
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter


def expect(what, holds):
    print("as described:" if holds else "CHANGED:", what)
    if not holds:
        sys.exit(1)


def by_openvino(function, x):
    module = tf.Module()
    module.call = tf.function(function, input_signature=[tf.TensorSpec(x.shape)])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.call.get_concrete_function())
        model = openvino.convert_model(folder)
    return np.asarray(openvino.compile_model(model, "CPU")([x])[0])


def by_litert(function, x):
    concrete = tf.function(function, input_signature=[tf.TensorSpec(x.shape)]).get_concrete_function()
    interpreter = Interpreter(model_content=tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def log_softmax(x):
    return tf.nn.log_softmax(x, axis=axis)


def softmax(x):
    return tf.nn.softmax(x, axis=axis)


def log_softmax_by_hand(x):
    return x - tf.reduce_logsumexp(x, axis, keepdims=True)


def softplus_by_hand(x):
    return tf.nn.relu(x) + tf.math.log1p(tf.exp(-tf.abs(x)))


def standard_deviation(x):
    return tf.sqrt(tf.math.softplus(x))


def clip(x):
    return tf.clip_by_value(x, 0.0, 1.0)


def close(a, b):
    return np.allclose(a, b, atol=1e-5)


image = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
for axis in (1, 2, 3):
    right = log_softmax(image).numpy()
    seen = by_openvino(log_softmax, image)
    print(f"log_softmax over axis {axis} of 4 dimensions: OpenVINO is off by {np.abs(seen - right).max():.1e}")
    expect("  it is the log_softmax over axis 3", close(seen, tf.nn.log_softmax(image, axis=3)) and close(seen, right) == (axis == 3))
    expect("  softmax is right", close(by_openvino(softmax, image), softmax(image)))
    expect("  log_softmax by hand is right", close(by_openvino(log_softmax_by_hand, image), right))
    expect("  LiteRT is right", close(by_litert(log_softmax, image), right))

x = np.array([-100, -20, 0, 89, np.nan], np.float32)
table = {}
print("x                     ", x)
for function in (tf.math.softplus, softplus_by_hand, tf.math.log_sigmoid, standard_deviation, tf.nn.relu, clip):
    table[function.__name__] = function(x).numpy(), by_openvino(function, x), by_litert(function, x)
    for name, row in zip(("TensorFlow", "OpenVINO", "LiteRT"), table[function.__name__]):
        print(f"{function.__name__:20}{name:12}{row}")
softplus, by_hand = table["softplus"], table["softplus_by_hand"]
expect("OpenVINO: softplus(-20) is below 0 and its root NaN", softplus[1][1] < 0 and np.isnan(table["standard_deviation"][1][1]))
expect("OpenVINO: relu and clip turn NaN into 0", table["relu"][1][-1] == 0 and table["clip"][1][-1] == 0)
expect("LiteRT: softplus(89) = inf, log_sigmoid(-100) = -inf, softplus(NaN) = 0",
       np.isinf(softplus[2][3]) and np.isinf(table["log_sigmoid"][2][0]) and softplus[2][-1] == 0)
expect("by hand, softplus(89) is right and NaN stays NaN in both",
       all(close(row[3], 89) and np.isnan(row[-1]) for row in by_hand))
PY
TF_CPP_MIN_LOG_LEVEL=3 "$tmp/venv/bin/python" "$tmp/run.py"
