"""Two logical CPUs, for the tests of replicas: they have to be made before TensorFlow is first used."""

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
