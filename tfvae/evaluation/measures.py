"""The bound and the reconstructions of held-out images, as numbers."""

import math

import tensorflow as tf

from tfvae.evaluation.bound import bits_per_dim
from tfvae.evaluation.reconstruction import psnr
from tfvae.model import inputs


def measure(vae, dataset):
    """Measures a model on a finite pipeline.

    Args:
        vae: A compiled `tfvae.VAE`; the weights are taken as they are.
        dataset: Batches (images [B, H, W, C], the images again, weights [B]), or of images alone.

    Returns:
        A dict of floats, means over images unless said otherwise:
        `elbo`, `distortion`, `rate`: nats, elbo = -distortion - rate;
        `bits_per_dim`: -elbo / (H W C ln 2);
        `seed_loss`: squared error, summed over pixels of [0, 1], plus rate, from a sample of the posterior;
        `mse`, `psnr`: of the reconstructions from posterior means; psnr is 10 log10(1 / mse) in dB.
    """
    bound = vae.evaluate(dataset, verbose=0, return_dict=True)
    squared_error = images_seen = 0.0

    @tf.function
    def squared_errors(images):
        return tf.reduce_sum(tf.square(images - vae(images)), axis=[1, 2, 3])

    for batch in dataset:
        images, weights = inputs.unpack(batch, vae.image_shape)
        squared_error += float(tf.reduce_sum(squared_errors(images) * weights))
        images_seen += float(tf.reduce_sum(weights))
    dimensions = math.prod(vae.image_shape)
    mse = squared_error / images_seen / dimensions
    elbo = -bound["distortion"] - bound["rate"]
    return {
        "elbo": elbo,
        "distortion": bound["distortion"],
        "rate": bound["rate"],
        "bits_per_dim": bits_per_dim(elbo, dimensions),
        "seed_loss": bound["squared_error"] + bound["rate"],
        "mse": mse,
        "psnr": float(psnr(mse)),
    }
