"""An export runs in TensorFlow's C++ runtime, which TensorFlow Serving is made of, and refuses there what is wrong."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from session import INVALID_ARGUMENT, LIBRARY, Refused, assert_same, example_inputs

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="this TensorFlow comes without its C++ library")


every_prior = pytest.mark.parametrize("exported", ["colour", "grey", "mixture"], indirect=True)


@every_prior
def test_every_signature_answers_there_as_it_does_here(exported, cpp):
    described = json.loads((exported.served.path / "assets.extra" / "signatures.json").read_text())["signatures"]
    inputs = example_inputs(exported.served)
    assert set(inputs) == set(described) == set(cpp.signatures)
    for name, arrays in inputs.items():
        answer = cpp.run(name, arrays)
        assert set(answer) == set(described[name]["outputs"])
        assert all(value.dtype in (np.float32, object) for value in answer.values())
        assert_same(answer, exported.served.call(name, **arrays), exported.vae.image_shape, name)


@every_prior
def test_a_batch_is_answered_as_its_rows(exported, cpp):
    for name, arrays in example_inputs(exported.served).items():
        together = cpp.run(name, arrays)
        for row in range(3):
            alone = cpp.run(name, {key: value[row : row + 1] for key, value in arrays.items()})
            expected = {key: value[row : row + 1] for key, value in together.items()}
            assert_same(alone, expected, exported.vae.image_shape, name)


def test_warm_up_requests_replay(exported, cpp):
    import tensorflow as tf

    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = exported.served.path / "assets.extra" / "tf_serving_warmup_requests"
    asked = set()
    for record in tf.data.TFRecordDataset(str(path)):
        request = logs.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        answer = cpp.run(request.model_spec.signature_name, inputs)
        assert all(len(value) == 1 for value in answer.values())
        asked.add(request.model_spec.signature_name)
    assert asked == set(cpp.signatures)


def test_no_rows_are_refused(exported, cpp):
    for name, arrays in example_inputs(exported.served).items():
        refused(cpp, name, {key: value[:0] for key, value in arrays.items()}, "expected at least one row")


def refused(cpp, name, arrays, words):
    with pytest.raises(Refused, match=words) as error:
        cpp.run(name, arrays)
    assert error.value.code == INVALID_ARGUMENT


def bomb():
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_file_that_cannot_be_read_is_named_by_its_row(exported, cpp):
    inputs = example_inputs(exported.served)
    good = inputs["prepare_bytes"]["image_bytes"][0]
    damaged = good[:60] + bytes(255 - byte for byte in good[60:80]) + good[80:]  # Whole, but not what was compressed.
    for contents, words in (
        (b"", "expected a PNG or JPEG file, got none in 0 bytes; send PNG or JPEG"),
        (b"no image at all", "expected a PNG or JPEG file, got none in 15 bytes; send PNG or JPEG"),
        (good[: len(good) // 2], f"expected a whole image file, got {len(good) // 2} bytes that cannot be decoded"),
        (damaged, f"expected a whole image file, got {len(good)} bytes"),
        (bomb(), "expected at most 40000000 pixels, got 20000 x 20000"),
    ):
        files = np.array([good, good, contents, good, b""], object)
        for name in ("reconstruct_bytes", "encode_bytes", "prepare_bytes"):
            refused(cpp, name, {"image_bytes": files}, rf"image_bytes\[2\]: {words}")
        ends = {"image_bytes_a": np.array([good] * 5, object), "image_bytes_b": files}
        weight = np.zeros(5, np.float32)
        refused(cpp, "interpolate_bytes", {**ends, "weight": weight}, rf"image_bytes_b\[2\]: {words}")
    cpp.run("prepare_bytes", {"image_bytes": np.array([good], object)})  # It goes on.


def test_numbers_that_are_none_or_out_of_range_are_named_by_their_row(exported, cpp):
    inputs = example_inputs(exported.served)

    def with_value(name, key, value):
        arrays = {other: array.copy() for other, array in inputs[name].items()}
        arrays[key].reshape(3, -1)[1, -1] = value
        return arrays

    for value in (np.nan, np.inf, 255.0, -0.5):
        for name, key in (
            ("reconstruct", "images"),
            ("encode", "images"),
            ("interpolate", "images_b"),
            ("log_prob", "images"),
        ):
            refused(cpp, name, with_value(name, key, value), rf"{key}\[1\]: expected numbers from 0 to 1")
    for name in ("decode", "decode_bytes", "log_prob"):
        for value in (np.nan, 3e38):
            refused(cpp, name, with_value(name, "latents", value), r"latents\[1\]: expected finite numbers")
    for value in (np.nan, np.inf, -1.0, 3e38):
        refused(cpp, "generate", with_value("generate", "std", value), r"std\[1\]: expected a number from 0 to 1000")
    for value in (np.nan, 1.5, -0.1):
        weights = with_value("interpolate_bytes", "weight", value)
        refused(cpp, "interpolate_bytes", weights, r"weight\[1\]: expected a number from 0 to 1")
    for seed in (-1, 2**31 - 1, -(2**31)):  # Every seed is one.
        cpp.run("generate_bytes", with_value("generate_bytes", "seed", seed))


def test_wrong_shapes_and_rows_that_do_not_match_are_refused(exported, cpp):
    height, width, channels = exported.vae.image_shape
    inputs = example_inputs(exported.served)
    # As many numbers as an image has, in another order: nothing after the signature would notice.
    turned = inputs["encode"]["images"].reshape(3, width, height, channels)
    for name in ("serving_default", "reconstruct", "encode"):
        refused(cpp, name, {"images": turned}, "not compatible with expected shape")
    refused(cpp, "decode", {"latents": np.zeros([3, 5], np.float32)}, "not compatible with expected shape")
    noise = inputs["generate"]
    refused(cpp, "generate", {**noise, "seed": noise["seed"][:, :1]}, "not compatible with expected shape")
    refused(cpp, "generate", {**noise, "std": noise["std"][:1]}, "std: expected as many rows as .* 3, got 1")
    ends = inputs["interpolate"]
    refused(cpp, "interpolate", {**ends, "weight": ends["weight"][:2]}, "weight: expected as many rows")
    refused(cpp, "interpolate", {**ends, "images_b": ends["images_b"][:1]}, "images_b: expected as many rows")
    pairs = inputs["log_prob"]
    refused(cpp, "log_prob", {**pairs, "latents": pairs["latents"][:1]}, "latents: expected as many rows")
    files = inputs["interpolate_bytes"]
    shorter = {**files, "image_bytes_b": files["image_bytes_b"][:1]}
    refused(cpp, "interpolate_bytes", shorter, "image_bytes_b: expected as many rows")
