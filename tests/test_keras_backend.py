"""Keras's own settings, in the environment and in keras.json: followed where they can be, else one line."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfvae import config, model
from tfvae.evaluation import reader

SHAPE = (9, 14, 3)


def run(*arguments, keras_json=None, home=None, **environment):
    if keras_json:
        (home / "keras.json").write_text(keras_json, encoding="utf-8")
        environment["KERAS_HOME"] = str(home)
    # A command that ran in this process may have set TensorFlow's level, and TensorFlow then writes as it was told.
    left_out = ("KERAS_BACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL")
    known = {name: value for name, value in os.environ.items() if name not in left_out}
    return subprocess.run(
        [sys.executable, *arguments], env=known | environment, capture_output=True, text=True, timeout=300
    )


def outputs(network):
    """Returns what a new model and a new classifier of attributes make of the same images, each with fixed weights."""
    images = np.random.default_rng(0).random((2, *SHAPE), dtype=np.float32)
    vae = model.build(config.ModelConfig(network=network, width=4, latent_dim=3), SHAPE, seed=1)
    features, logits = reader._network(SHAPE, [2, 3])(images)
    return vae.encode(images).mean, vae(images), features, logits


@pytest.mark.parametrize("network", ["residual", "convolutional"])
def test_channels_first_changes_nothing(network):
    expected = outputs(network)
    keras.config.set_image_data_format("channels_first")
    try:
        found = outputs(network)
    finally:
        keras.config.set_image_data_format("channels_last")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", ["environment", "keras.json"])
def test_commands_run_on_tensorflow_and_say_so(where, tmp_path):
    code = (
        "from tfvae import commandline, config\n"
        "def main(settings, files):\n"
        "    import keras, tfvae\n"
        "    print(keras.config.backend(), tfvae.VAE.__name__)\n"
        "commandline.run(config.ModelConfig, main)"
    )
    if where == "environment":
        answer, backend = run("-c", code, KERAS_BACKEND="jax"), "jax"
    else:
        answer, backend = run("-c", code, keras_json='{"backend": "torch"}', home=tmp_path), "torch"
    assert answer.returncode == 0 and answer.stdout == "tensorflow VAE\n"
    assert answer.stderr == f"KERAS_BACKEND={backend} is not used: tfvae runs on TensorFlow.\n"


@pytest.mark.parametrize("code", ["import tfvae; tfvae.VAE", "from tfvae.training import fit", "import tfvae.model"])
def test_the_library_refuses_another_backend_in_one_line(code, tmp_path):
    answer = run("-c", code, KERAS_BACKEND="jax")
    assert answer.stderr.splitlines()[-1].endswith(
        "UserError: tfvae needs Keras on TensorFlow, got jax: set KERAS_BACKEND=tensorflow before Keras is imported."
    )
    assert "site-packages" not in answer.stderr


@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_another_floatx_is_refused_in_one_line(floatx, tmp_path):
    answer = run("-c", "import tfvae; tfvae.model", keras_json=f'{{"floatx": "{floatx}"}}', home=tmp_path)
    assert answer.stderr.splitlines()[-1].endswith(f"floatx to be float32, got {floatx}: see keras.json.")
    keras.config.set_floatx(floatx)
    try:
        with pytest.raises(config.UserError, match=f"floatx to be float32, got {floatx}"):
            model.build(config.ModelConfig(), SHAPE)
    finally:
        keras.config.set_floatx("float32")
