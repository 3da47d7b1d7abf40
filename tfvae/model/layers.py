"""The layers that networks and priors are made of: shrinking and growing without loss, and gained linear maps."""

import keras
import tensorflow as tf

# What a layer computes is multiplied by this, and its first weights are divided by it: the function is the same, but a
# step of Adam, whose length in weights is the learning rate, goes this much further (an equalised learning rate, as
# in Karras et al. 2018, section 4.1). It suits the networks to the original work's learning rate of 1e-4.
GAIN = 5.0


@keras.saving.register_keras_serializable("tfvae")
class Fold(keras.layers.Layer):
    """[B, H, W, C] -> [B, ceil(H/f), ceil(W/f), f*f*C]: f x f pixels become the channels of one."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, -(-height // self.factor), -(-width // self.factor), channels * self.factor**2

    def call(self, images):
        _, height, width, _ = images.shape
        below, right = -height % self.factor, -width % self.factor
        if below or right:
            # The edge is repeated (SYMMETRIC repeats it for up to the image's own size, which f never exceeds).
            images = tf.pad(images, [[0, 0], [0, below], [0, right], [0, 0]], mode="SYMMETRIC")
        return tf.nn.space_to_depth(images, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("tfvae")
class Unfold(keras.layers.Layer):
    """[B, h, w, f*f*C] -> [B, H, W, C], the inverse of `Fold`: cut to H and W, which f*h and f*w reach."""

    def __init__(self, factor, height, width, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.height, self.width = factor, height, width

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.height, self.width, input_shape[-1] // self.factor**2

    def call(self, images):
        return tf.nn.depth_to_space(images, self.factor)[:, : self.height, : self.width, :]

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "height": self.height, "width": self.width}


def kernel(scale):
    """Returns the initializer of a layer that is followed by GAIN: `scale` is 2 before a rectifier (He et al. 2015)."""
    if not scale:
        return keras.initializers.Zeros()
    return keras.initializers.VarianceScaling(scale / GAIN**2, mode="fan_in")


def conv(images, channels, size=3, scale=2.0):
    """Returns GAIN times a convolution of Keras tensors [B, H, W, C] -> [B, H, W, channels]."""
    initializer, last = kernel(scale), "channels_last"  # Whatever keras.json says.
    layer = keras.layers.Conv2D(channels, size, padding="same", data_format=last, kernel_initializer=initializer)
    return GAIN * layer(images)


def flatten(images):
    """Returns Keras tensors [B, h, w, C] as [B, h w C], whatever keras.json says about channels."""
    return keras.layers.Flatten(data_format="channels_last")(images)


def dense(vectors, units, scale=1.0):
    """Returns GAIN times an affine map of Keras tensors [B, n] -> [B, units]."""
    return GAIN * keras.layers.Dense(units, kernel_initializer=kernel(scale))(vectors)


def relu(images):
    return keras.layers.Activation("relu")(images)


def silu(images):
    return keras.layers.Activation("silu")(images)


def residual_block(images):
    """x + conv(act(conv(act(x)))): pre-activation (He et al. 2016), begun near the identity in place of a norm."""
    channels = images.shape[-1]
    return images + conv(silu(conv(silu(images), channels)), channels, scale=0.02)
