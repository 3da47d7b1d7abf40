"""The functions that an export offers, as plain TensorFlow: every axis but the first one is fixed, a row is an image.

Each signature answers a row from that row's inputs alone, random numbers included, so that a server may merge and
split batches as it likes. Strings that hold an encoded image have names that end in `_bytes`: TensorFlow Serving's
REST interface sends those, and no others, as base64.
"""

import tensorflow as tf

from tfvae import noise as noises
from tfvae.serving import checks, image_files, image_preprocessing
from tfvae.serving.paths import Maps, walked


def encode_png(images):
    """Returns PNG files, string [B], of images [B, H, W, C] in [0, 1]; of 4 channels with straight colours."""
    images = tf.clip_by_value(images, 0.0, 1.0)
    if images.shape[-1] == 4:
        alpha = tf.round(255.0 * images[..., 3:]) / 255.0
        shown = tf.math.divide_no_nan(images[..., :3], images[..., 3:]) * tf.cast(alpha > 0, tf.float32)
        images = tf.concat([tf.minimum(shown, 1.0), alpha], axis=-1)
    return tf.io.encode_png(tf.cast(tf.round(255.0 * images), tf.uint8))


def signatures(vae, spec, max_pixels=image_preprocessing.SERVED_PIXELS, sampler=None, way=("wipe", "base")):
    """Builds the functions of an export, with the parameters that they are traced with.

    Args:
        vae: A `tfvae.VAE`.
        spec: The `preprocessing.ImageSpec` that image files are brought to, as in training.
        max_pixels: Largest image that is decoded, height times width; `SERVED_PIXELS` at most.
        sampler: One of `tfvae.samplers`; None for the model's prior.
        way: (path, space) of `interpolate`, as `paths.walked` takes it.

    Returns:
        {name: (function, [tf.TensorSpec of each parameter])}; each function returns {output name: tensor}.
    """
    image_shape, latent_dim = tuple(vae.image_shape), vae.latent_dim
    sampler = sampler or vae.prior

    def images_named(name):
        return tf.TensorSpec([None, *image_shape], tf.float32, name)

    def files_named(name):
        return tf.TensorSpec([None], tf.string, name)

    inputs = [images_named(name) for name in ("images", "images_a", "images_b")]
    inputs += [files_named(name) for name in ("image_bytes", "image_bytes_a", "image_bytes_b")]
    inputs += [tf.TensorSpec([None, latent_dim], tf.float32, name) for name in ("latents", "noise")]
    inputs += [tf.TensorSpec([None], tf.float32, name) for name in ("std", "weight")]
    inputs += [tf.TensorSpec([None, 2], tf.int32, "seed")]
    specs = {spec.name: spec for spec in inputs}

    def shared(*names):
        """Returns a decorator: traced once for all signatures that call it, which saves most of an export's time."""
        return tf.function(input_signature=[specs[name] for name in names], autograph=False)

    @tf.function(input_signature=[specs["image_bytes"], tf.TensorSpec([], tf.string)], autograph=False)
    def load(image_bytes, name):
        return image_files.read(image_bytes, name, spec, max_pixels)

    @shared("images")
    def posterior(images):
        mean, log_variance = vae.encode(images)
        return tf.cast(mean, tf.float32), tf.cast(log_variance, tf.float32)

    @shared("latents")
    def draw(latents):
        return tf.cast(vae.decode(latents), tf.float32)

    @shared("noise")
    def to_latents(noise):
        return tf.cast(sampler.from_base(noise), tf.float32)

    @shared("latents")
    def to_noise(latents):
        return tf.cast(sampler.to_base(latents), tf.float32)

    @shared("seed", "std")
    def sample(seed, std):
        seed = tf.ensure_shape(seed, specs["seed"].shape)
        std = checks.rows(seed, checks.std(std, specs["std"]), "std")
        noise = std[:, tf.newaxis] * noises.normal(seed, latent_dim)
        return tf.cast(sampler.draw(noise, std), tf.float32)

    @shared("images_a", "images_b", "weight")
    def between(images_a, images_b, weight):
        weight = checks.rows(images_a, checks.weight(weight, specs["weight"]), "weight")
        a, b = posterior(images_a)[0], posterior(images_b)[0]
        maps = Maps(lambda images: posterior(images)[0], draw, to_noise, to_latents)
        latents = walked(a, b, weight, way, maps)
        # The ends are the reconstructions, as they are.
        weight = weight[:, tf.newaxis]
        return draw(tf.where(weight <= 0.0, a, tf.where(weight >= 1.0, b, latents)))

    def reconstruct(images):
        return {"reconstructions": draw(posterior(checks.images(images, specs["images"]))[0])}

    def reconstruct_bytes(image_bytes):
        return {"reconstruction_bytes": encode_png(draw(posterior(load(image_bytes, "image_bytes"))[0]))}

    def encode(images):
        mean, log_variance = posterior(checks.images(images, specs["images"]))
        return {"mean": mean, "log_variance": log_variance}

    def encode_bytes(image_bytes):
        mean, log_variance = posterior(load(image_bytes, "image_bytes"))
        return {"mean": mean, "log_variance": log_variance}

    def decode(latents):
        return {"images": draw(checks.latents(latents, specs["latents"]))}

    def decode_bytes(latents):
        return {"image_bytes": encode_png(draw(checks.latents(latents, specs["latents"])))}

    def generate(seed, std):
        latents = sample(seed, std)
        return {"images": draw(latents), "latents": latents}

    def generate_bytes(seed, std):
        latents = sample(seed, std)
        return {"image_bytes": encode_png(draw(latents)), "latents": latents}

    def interpolate(images_a, images_b, weight):
        images_a = checks.images(images_a, specs["images_a"])
        images_b = checks.rows(images_a, checks.images(images_b, specs["images_b"]), "images_b")
        return {"images": between(images_a, images_b, weight)}

    def interpolate_bytes(image_bytes_a, image_bytes_b, weight):
        image_bytes_b = checks.rows(image_bytes_a, image_bytes_b, "image_bytes_b")
        images_a, images_b = load(image_bytes_a, "image_bytes_a"), load(image_bytes_b, "image_bytes_b")
        return {"image_bytes": encode_png(between(images_a, images_b, weight))}

    def to_base(latents):
        return {"noise": to_noise(checks.latents(latents, specs["latents"]))}

    def from_base(noise):
        return {"latents": to_latents(checks.latents(noise, specs["noise"]))}

    def refine(latents):
        return {"latents": posterior(draw(checks.latents(latents, specs["latents"])))[0]}

    def sampler_log_prob(latents):
        return {"log_prob": tf.cast(sampler.log_prob(checks.latents(latents, specs["latents"])), tf.float32)}

    def prepare_bytes(image_bytes):
        return {"images": load(image_bytes, "image_bytes")}

    def log_prob(images, latents):
        images = checks.images(images, specs["images"])
        latents = checks.rows(images, checks.latents(latents, specs["latents"]), "latents")
        log_likelihood, squared_error = vae.log_likelihood(images, latents)
        log_prior = tf.cast(vae.prior.log_prob(latents), tf.float32)
        return {"log_likelihood": log_likelihood, "log_prior": log_prior, "squared_error": squared_error}

    functions = {
        "serving_default": (reconstruct, "images"),
        "reconstruct": (reconstruct, "images"),
        "reconstruct_bytes": (reconstruct_bytes, "image_bytes"),
        "encode": (encode, "images"),
        "encode_bytes": (encode_bytes, "image_bytes"),
        "decode": (decode, "latents"),
        "decode_bytes": (decode_bytes, "latents"),
        "generate": (generate, "seed", "std"),
        "generate_bytes": (generate_bytes, "seed", "std"),
        "interpolate": (interpolate, "images_a", "images_b", "weight"),
        "interpolate_bytes": (interpolate_bytes, "image_bytes_a", "image_bytes_b", "weight"),
        # For walks by other paths than `interpolate`'s, and for noise of one's own.
        "to_base": (to_base, "latents"),
        "from_base": (from_base, "noise"),
        # The code of what a code decodes to: nearer to those of images.
        "refine": (refine, "latents"),
        # The density that `generate` draws from at std 1; `log_prob` has that of the training's bound.
        "sampler_log_prob": (sampler_log_prob, "latents"),
        # What the model sees of a file: clients can check their own preparing against it.
        "prepare_bytes": (prepare_bytes, "image_bytes"),
        # With `encode`, all that a bound of log p(x) needs, with as many samples of the posterior as one likes.
        "log_prob": (log_prob, "images", "latents"),
    }
    return {name: (function, [specs[key] for key in keys]) for name, (function, *keys) in functions.items()}
