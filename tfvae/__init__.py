"""tfvae: variational autoencoders for your own images.

It turns a folder of images into a model that reconstructs them, draws new ones, walks between them, and is served by
TensorFlow Serving. From the command line, each with --help:

    python -m tfvae.inspect --data=FOLDER       shows what a model would see of your images
    python -m tfvae.train --data=FOLDER         trains, keeps everything in runs/NAME/, exports saved_models/NAME/1/
    python -m tfvae.generate --std=0.8          new images
    python -m tfvae.reconstruct FILE...         originals above reconstructions
    python -m tfvae.interpolate A B             the walk from image A to image B
    python -m tfvae.evaluate                    every measure that the data allows, and a page of it
    python -m tfvae.export                      exports a run again
    python -m tfvae.client ACTION               asks a server for the same

In Python, from the outside in:

    settings = tfvae.config.TrainConfig(data="photos", epochs=50)   # what the flags say, checked
    version = tfvae.training.fit(settings)                          # the folder of the exported model
    served = tfvae.serving.Served(version)                          # NumPy in, NumPy out, no model code

    images = tfvae.data.load(settings)                              # tf.data pipelines
    vae = tfvae.model.build(settings, images.image_shape)           # a tfvae.VAE, which is a keras.Model
    vae.compile(optimizer="adam")
    vae.fit(images.training, steps_per_epoch=images.steps_per_epoch, validation_data=images.validation, shuffle=False)

The parts, each with help of its own:

    tfvae.config      the settings: name, default, help and bounds, each said once
    tfvae.data        load(settings): avatars, Cartoon Set, TFDS, folders, arrays
    tfvae.model       VAE, and its likelihoods, priors, objectives and networks
    tfvae.training    fit, export_run: the run folder, checkpoints, exact resume
    tfvae.serving     export, Served: the SavedModel and its signatures
    tfvae.remote      connect: a model that TensorFlow Serving has, through REST or gRPC
    tfvae.evaluation  measure (a model in memory), evaluate (an export): numbers on held-out images, pictures, a page
    tfvae.pictures    grids, rows, animations, learning curves

Axes, everywhere: B images of a batch, Z latents, H x W x C pixels, P numbers that a decoder gives for a pixel.
Images are float32 [B, H, W, C] in [0, 1] where a model sees them, and uint8 where they are kept.

Words: x is an image, z its code (the latents). elbo = -distortion - rate, in nats per image, is a lower bound of
log p(x); distortion is -E log p(x|z), rate is KL(q(z|x) || p(z)); the loss is what is minimised.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["VAE", "config", "data", "evaluation", "model", "pictures", "remote", "serving", "training"]


def __getattr__(name):
    # At first use only: TensorFlow takes seconds, and the settings, `--help` and mistakes in them need none of it.
    if name in ("VAE", "evaluation", "model", "serving", "training"):
        importlib.import_module("tfvae.keras_backend").check()
    if name == "VAE":
        return importlib.import_module("tfvae.model").VAE
    if name in __all__:
        return importlib.import_module(f"tfvae.{name}")
    raise AttributeError(f"module 'tfvae' has no attribute {name!r}")
