"""Encoders and decoders: functions of an image shape that return two Keras models.

Drawn for XLA on a CPU, which makes fast code of stride-1 convolutions and slow code of strided and transposed ones:
images shrink by space_to_depth and grow by depth_to_space, which lose nothing, and convolutions mix what these moved.
Any height and width will do: what does not divide is padded at the edge and cut off again.
"""

import keras

from tfvae.model.layers import Fold, Unfold, conv, dense, flatten, relu, residual_block, silu


def _sizes(height, width, factors):
    """Returns the (height, width) before each `Fold` of `factors`, and after the last."""
    sizes = [(height, width)]
    for factor in factors:
        height, width = -(-height // factor), -(-width // factor)
        sizes.append((height, width))
    return sizes


def residual(image_shape, latent_dim, parameters, width=64, blocks=(0, 1, 1, 2)):
    """Residual blocks at a quarter and an eighth of the image's size, and dense layers between them and the latents.

    What an image shows is mostly a choice of parts, and latents are continuous: the dense layers let the decoder make
    choices of them (a mapping network: Karras et al. 2019), so that codes need fewer nats and the prior fits them.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        parameters: P, the numbers that the decoder gives for each pixel.
        width: Channels at a quarter of the size; half as many again at an eighth; four times as many dense units.
        blocks: Residual blocks of the encoder at 1/4 and 1/8, and of the decoder at 1/8 and 1/4.

    Returns:
        (encoder, decoder): models from [B, H, W, C] to [B, 2 Z] and from [B, Z] to [B, H, W, P].
    """
    wide, units = width * 3 // 2, 4 * width
    factors = (4, 2, 2)
    sizes = _sizes(*image_shape[:2], factors)

    images = keras.Input(image_shape)
    x = conv(Fold(4)(images - 0.5), width)
    for _ in range(blocks[0]):
        x = residual_block(x)
    x = conv(Fold(2)(x), wide, 1)
    for _ in range(blocks[1]):
        x = residual_block(x)
    x = silu(conv(Fold(2)(x), width, 1))
    x = silu(dense(flatten(x), units, scale=2.0))
    encoder = keras.Model(images, dense(x, 2 * latent_dim), name="encoder")

    latents = keras.Input((latent_dim,))
    x = silu(dense(latents, units, scale=2.0))
    x = silu(dense(x, units, scale=2.0))
    x = silu(dense(x, sizes[3][0] * sizes[3][1] * width, scale=2.0))
    x = keras.layers.Reshape((*sizes[3], width))(x)
    x = Unfold(2, *sizes[2])(conv(x, 4 * wide, 1))
    for _ in range(blocks[2]):
        x = residual_block(x)
    x = Unfold(2, *sizes[1])(conv(x, 4 * width, 1))
    for _ in range(blocks[3]):
        x = residual_block(x)
    x = 0.5 + conv(silu(x), 16 * parameters, scale=0.1)
    decoder = keras.Model(latents, Unfold(4, *sizes[0])(x), name="decoder")
    return encoder, decoder


def convolutional(image_shape, latent_dim, parameters, width=64):
    """A plain stack that halves the image three times and doubles it back, with ReLU: the classroom's VAE.

    Args and returns as `residual`; `width` is the channels of the smallest images.
    """
    sizes = _sizes(*image_shape[:2], (2, 2, 2))

    images = keras.Input(image_shape)
    x = images - 0.5
    for channels in (width // 2, width, width):
        x = relu(conv(Fold(2)(x), channels))
    encoder = keras.Model(images, dense(flatten(x), 2 * latent_dim), name="encoder")

    latents = keras.Input((latent_dim,))
    x = relu(dense(latents, sizes[3][0] * sizes[3][1] * width, scale=2.0))
    x = keras.layers.Reshape((*sizes[3], width))(x)
    for size, channels in zip(sizes[2:0:-1], (width, width // 2), strict=True):
        x = Unfold(2, *size)(relu(conv(x, 4 * channels)))
    x = 0.5 + conv(x, 4 * parameters, scale=0.1)
    decoder = keras.Model(latents, Unfold(2, *sizes[0])(x), name="decoder")
    return encoder, decoder
