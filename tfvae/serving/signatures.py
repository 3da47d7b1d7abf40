"""The functions that an export offers, as plain TensorFlow: every axis but the first one is fixed, a row is an image.

Each signature answers a row from that row's inputs alone, random numbers included, so that a server may merge and
split batches as it likes. Strings that hold an encoded image have names that end in `_bytes`: TensorFlow Serving's
REST interface sends those, and no others, as base64.
"""

import tensorflow as tf

from tfvae.data.images import MOST_PIXELS
from tfvae.serving import checks, files

_PARALLEL = 8  # Rows whose noise is drawn at once.


def slerp(a, b, weight):
    """Returns the point at `weight` on the spherical path from a to b: the direction turns evenly, the length is mixed.

    In the prior's Gaussian noise, unlike a straight line, this passes through the shell where noise lies. Where the
    directions are almost the same (or opposite, where no turn is defined) it is the straight line.

    Args:
        a: [B, Z].
        b: [B, Z].
        weight: [B]; 0 gives a, 1 gives b.

    Returns:
        [B, Z].
    """
    weight = weight[:, tf.newaxis]
    length_a, length_b = tf.norm(a, axis=-1, keepdims=True), tf.norm(b, axis=-1, keepdims=True)
    unit_a, unit_b = tf.math.divide_no_nan(a, length_a), tf.math.divide_no_nan(b, length_b)
    # Half the angle from its tangent: arccos of a product has no digits left at small angles (Kahan).
    half = tf.atan2(tf.norm(unit_a - unit_b, axis=-1, keepdims=True), tf.norm(unit_a + unit_b, axis=-1, keepdims=True))
    angle = 2.0 * half
    sine = tf.sin(angle)
    turns = tf.abs(sine) > 1e-3
    sine = tf.where(turns, sine, tf.ones_like(sine))
    direction = (tf.sin((1.0 - weight) * angle) * unit_a + tf.sin(weight * angle) * unit_b) / sine
    length = (1.0 - weight) * length_a + weight * length_b
    return tf.where(turns, length * direction, (1.0 - weight) * a + weight * b)


def row_noise(seeds, latent_dim):
    """Returns noise [B, Z] from N(0, I); each row depends on its own seed alone, of `seeds` int32 [B, 2]."""
    return tf.map_fn(
        # Philox by name: left to choose, TensorFlow draws other numbers on other devices.
        lambda seed: tf.random.stateless_normal([latent_dim], seed, alg="philox"),
        seeds,
        fn_output_signature=tf.TensorSpec([latent_dim], tf.float32),
        parallel_iterations=_PARALLEL,
    )


def encode_png(images):
    """Returns PNG files, string [B], of images [B, H, W, C] in [0, 1]."""
    return tf.io.encode_png(tf.cast(tf.round(255.0 * tf.clip_by_value(images, 0.0, 1.0)), tf.uint8))


def signatures(vae, fit, background_rgb, max_pixels=MOST_PIXELS):
    """Builds the functions of an export, with the parameters that they are traced with.

    Args:
        vae: A `tfvae.VAE`.
        fit: `--fit` of the training: how other aspect ratios are met.
        background_rgb: (red, green, blue) behind transparent pixels and padding, 0 to 255.
        max_pixels: Largest image that is decoded, height times width.

    Returns:
        {name: (function, [tf.TensorSpec of each parameter])}; each function returns {output name: tensor}.
    """
    image_shape, latent_dim = tuple(vae.image_shape), vae.latent_dim

    def images_named(name):
        return tf.TensorSpec([None, *image_shape], tf.float32, name)

    def files_named(name):
        return tf.TensorSpec([None], tf.string, name)

    inputs = [images_named(name) for name in ("images", "images_a", "images_b")]
    inputs += [files_named(name) for name in ("image_bytes", "image_bytes_a", "image_bytes_b")]
    inputs += [tf.TensorSpec([None, latent_dim], tf.float32, "latents"), tf.TensorSpec([None, 2], tf.int32, "seed")]
    inputs += [tf.TensorSpec([None], tf.float32, "std"), tf.TensorSpec([None], tf.float32, "weight")]
    specs = {spec.name: spec for spec in inputs}

    def shared(*names):
        """Returns a decorator: traced once for all signatures that call it, which saves most of an export's time."""
        return tf.function(input_signature=[specs[name] for name in names], autograph=False)

    @tf.function(input_signature=[specs["image_bytes"], tf.TensorSpec([], tf.string)], autograph=False)
    def load(image_bytes, name):
        return files.read(image_bytes, name, image_shape, fit, background_rgb, max_pixels)

    @shared("images")
    def posterior(images):
        mean, log_variance = vae.encode(images)
        return tf.cast(mean, tf.float32), tf.cast(log_variance, tf.float32)

    @shared("latents")
    def draw(latents):
        return tf.cast(vae.decode(latents), tf.float32)

    @shared("seed", "std")
    def sample(seed, std):
        seed = tf.ensure_shape(seed, specs["seed"].shape)
        std = checks.rows(seed, checks.std(std, specs["std"]), "std")
        return tf.cast(vae.prior.from_base(std[:, tf.newaxis] * row_noise(seed, latent_dim)), tf.float32)

    @shared("images_a", "images_b", "weight")
    def between(images_a, images_b, weight):
        weight = checks.rows(images_a, checks.weight(weight, specs["weight"]), "weight")
        base_a, base_b = (vae.prior.to_base(posterior(images)[0]) for images in (images_a, images_b))
        return draw(vae.prior.from_base(slerp(base_a, base_b, weight)))

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

    def prepare_bytes(image_bytes):
        return {"images": load(image_bytes, "image_bytes")}

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
        # What the model sees of a file: clients can check their own preparing against it.
        "prepare_bytes": (prepare_bytes, "image_bytes"),
    }
    return {name: (function, [specs[key] for key in keys]) for name, (function, *keys) in functions.items()}
