"""What the tests share; and two logical CPUs, for those of replicas: they have to be made before TensorFlow is used."""

import numpy as np
import pytest
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def two_devices():
    """One strategy for all tests: a second one of a process would number its collectives as the first did."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def no_export(monkeypatch):
    """Leaves out the export and what an epoch's pictures show: most of a tiny training's time."""
    from tfvae import serving
    from tfvae.training import callbacks

    monkeypatch.setattr(serving, "export", lambda vae, settings, base_dir, *_, **__: base_dir / "1")
    monkeypatch.setattr(callbacks.Records, "_draw", lambda self: {"samples": np.zeros((8, 8, 3), np.uint8)})
