"""Encoders and decoders: functions of an image shape that return two Keras models.

Drawn for XLA on a CPU, which makes fast code of stride-1 convolutions and slow code of strided and transposed ones:
images shrink by space_to_depth and grow by depth_to_space, which lose nothing, and convolutions mix what these moved.
Any height and width will do: what does not divide is padded at the edge and cut off again.
"""

import keras
import tensorflow as tf


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


def _conv(channels, size=3, **kwargs):
    return keras.layers.Conv2D(channels, size, padding="same", kernel_initializer="he_normal", **kwargs)


def _residual_block(images):
    """x + conv(act(conv(act(x)))): pre-activation (He et al. 2016), begun near the identity in place of a norm."""
    channels = images.shape[-1]
    inner = _conv(channels)(keras.layers.Activation("silu")(images))
    small = keras.initializers.VarianceScaling(0.02, mode="fan_in")
    inner = keras.layers.Conv2D(channels, 3, padding="same", kernel_initializer=small)(
        keras.layers.Activation("silu")(inner)
    )
    return images + inner


def _sizes(height, width, factors):
    """Returns the (height, width) before each `Fold` of `factors`, and after the last."""
    sizes = [(height, width)]
    for factor in factors:
        height, width = -(-height // factor), -(-width // factor)
        sizes.append((height, width))
    return sizes


def residual(image_shape, latent_dim, parameters, width=64, blocks=(1, 1, 1, 2)):
    """Residual blocks at a quarter and an eighth of the image's size.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        parameters: P, the numbers that the decoder gives for each pixel.
        width: Channels at a quarter of the size; half as many again at an eighth.
        blocks: Residual blocks of the encoder at 1/4 and 1/8, and of the decoder at 1/8 and 1/4.

    Returns:
        (encoder, decoder): models from [B, H, W, C] to [B, 2 Z] and from [B, Z] to [B, H, W, P].
    """
    wide = width * 3 // 2
    factors = (4, 2, 2)
    sizes = _sizes(*image_shape[:2], factors)

    images = keras.Input(image_shape)
    x = _conv(width)(Fold(4)(images - 0.5))
    for _ in range(blocks[0]):
        x = _residual_block(x)
    x = _conv(wide, 1)(Fold(2)(x))
    for _ in range(blocks[1]):
        x = _residual_block(x)
    x = _conv(width, 1)(Fold(2)(x))
    x = keras.layers.Flatten()(keras.layers.Activation("silu")(x))
    encoder = keras.Model(images, keras.layers.Dense(2 * latent_dim)(x), name="encoder")

    latents = keras.Input((latent_dim,))
    x = keras.layers.Dense(sizes[3][0] * sizes[3][1] * width, kernel_initializer="he_normal")(latents)
    x = keras.layers.Reshape((*sizes[3], width))(x)
    x = Unfold(2, *sizes[2])(_conv(4 * wide, 1)(x))
    for _ in range(blocks[2]):
        x = _residual_block(x)
    x = Unfold(2, *sizes[1])(_conv(4 * width, 1)(x))
    for _ in range(blocks[3]):
        x = _residual_block(x)
    x = keras.layers.Activation("silu")(x)
    x = _conv(16 * parameters, bias_initializer=keras.initializers.Constant(0.5))(x)
    decoder = keras.Model(latents, Unfold(4, *sizes[0])(x), name="decoder")
    return encoder, decoder


def convolutional(image_shape, latent_dim, parameters, width=64):
    """A plain stack that halves the image three times and doubles it back, with ReLU: the classroom's VAE.

    Args and returns as `residual`; `width` is the channels of the smallest images.
    """
    sizes = _sizes(*image_shape[:2], (2, 2, 2))

    images = keras.Input(image_shape)
    x = images
    for channels in (width // 2, width, width):
        x = _conv(channels, activation="relu")(Fold(2)(x))
    encoder = keras.Model(images, keras.layers.Dense(2 * latent_dim)(keras.layers.Flatten()(x)), name="encoder")

    latents = keras.Input((latent_dim,))
    x = keras.layers.Dense(sizes[3][0] * sizes[3][1] * width, activation="relu", kernel_initializer="he_normal")(latents)
    x = keras.layers.Reshape((*sizes[3], width))(x)
    for size, channels in zip(sizes[2:0:-1], (width, width // 2), strict=True):
        x = Unfold(2, *size)(_conv(4 * channels, activation="relu")(x))
    x = _conv(4 * parameters, bias_initializer=keras.initializers.Constant(0.5))(x)
    decoder = keras.Model(latents, Unfold(2, *sizes[0])(x), name="decoder")
    return encoder, decoder
