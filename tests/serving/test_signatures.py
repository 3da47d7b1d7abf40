"""What an export answers is what the model answers in process, row by row."""

import io
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae import config, model, serving
from tfvae import noise as noises
from tfvae.data.preprocessing import ImageSpec
from tfvae.serving.paths import decided, slerp, wipe, wiped
from tfvae.serving.signatures import encode_png, signatures

every_sampler = pytest.mark.parametrize("exported", ["colour", "grey", "mixture", "matching"], indirect=True)


def spec_of(vae):
    return ImageSpec(*vae.image_shape)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, atol=1e-5, rtol=1e-5)


def file(pixels, form="PNG"):
    """Returns uint8 [h, w, c] pixels as an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, form)
    return buffer.getvalue()


def png(contents):
    """Returns the pixels [h, w, c] in [0, 1] of PNG files, which `_bytes` outputs are."""
    for one in contents:
        with Image.open(io.BytesIO(one)) as image:
            assert image.format == "PNG"
    return np.stack([tf.io.decode_png(one).numpy() for one in contents]) / 255


@pytest.fixture
def images(exported):
    """[3, H, W, C] in [0, 1], exact in 8 bits."""
    return exported.test_images[:3].astype(np.float32) / 255


@pytest.fixture
def files(exported):
    return [file(pixels) for pixels in exported.test_images[:3]]


def test_reconstructions_are_those_of_posterior_means(exported, images):
    close(exported.served.reconstruct(images), exported.vae.decode(exported.vae.encode(images).mean))
    close(
        exported.served.call("serving_default", images=images)["reconstructions"], exported.served.reconstruct(images)
    )


def test_encode_and_decode(exported, images, random):
    posterior = exported.vae.encode(images)
    close(exported.served.encode(images).mean, posterior.mean)
    close(exported.served.encode(images).log_variance, posterior.log_variance)
    latents = random.normal(size=(3, 4)).astype(np.float32)
    close(exported.served.decode(latents), exported.vae.decode(latents))


def test_log_prob_is_that_of_the_bound(exported, images, random):
    vae, noise = exported.vae, random.normal(size=(3, 4)).astype(np.float32)
    posterior = vae.encode(images)
    latents = vae.reparameterize(posterior, noise).numpy()
    found, terms = exported.served.log_prob(images, latents), vae.terms(images, noise, step=0)
    np.testing.assert_allclose(found.log_likelihood, -terms.distortion, rtol=1e-5)
    close(found.log_prior, vae.prior.log_prob(latents))
    np.testing.assert_allclose(found.squared_error, terms.squared_error, rtol=1e-5)
    answer = exported.served.decode(latents)
    np.testing.assert_allclose(found.squared_error, ((images - answer) ** 2).sum(axis=(1, 2, 3)), rtol=1e-4)


@every_sampler
def test_an_image_is_drawn_from_its_own_seed(exported):
    seeds, std = serving.seeds(5, 0, 3), [0.0, 0.5, 1.0]
    noise = noises.normal(seeds, 4).numpy()
    images, latents = exported.served.generate(seeds, std)
    close(latents, exported.sampler.draw(np.float32(std)[:, None] * noise, np.float32(std)))
    close(images, exported.vae.decode(latents))
    assert np.ptp(images, axis=0).max() > 0.01
    assert np.ptp(noise, axis=0).min() > 0.01  # Seeds that differ in the image's number differ in the noise.


@every_sampler
def test_noise_of_many_seeds_is_standard_normal(exported):
    latents = exported.served.generate(serving.seeds(1, 0, 4000), 1.0)[1]
    noise = np.asarray(exported.sampler.to_base(latents))
    assert np.abs(noise.mean(0)).max() < 0.07 and np.abs(noise.std(0) - 1).max() < 0.05
    assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 0.07


def numpy_slerp(a, b, weight):
    """The formula of Shoemake (1985) on directions, the length mixed; one pair of vectors, in double precision."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / length_a / length_b, -1, 1))
    direction = (np.sin((1 - weight) * angle) * a / length_a + np.sin(weight * angle) * b / length_b) / np.sin(angle)
    return ((1 - weight) * length_a + weight * length_b) * direction


def numpy_wiped(vae, image_a, image_b, weight):
    """A frame of a walk, pixel by pixel, in double precision outside of the networks."""
    ends = vae.decode(vae.encode(np.stack([image_a, image_b])).mean).numpy().astype(np.float64)
    height, width, _ = image_a.shape
    image = np.empty(ends[0].shape)
    for y, x in itertools.product(range(height), range(width)):
        of_b = min(max(weight * height - y, 0), 1)
        image[y, x] = (1 - of_b) * ends[0, y, x] + of_b * ends[1, y, x]
    for _ in range(5):
        seen = vae.decode(vae.encode(np.float32(image)[np.newaxis]).mean).numpy()[0].astype(np.float64)
        for y, x in itertools.product(range(height), range(width)):
            (a, b), pixel = ends[:, y, x], seen[y, x]
            of_b = ((pixel - a) @ (b - a)) / ((b - a) @ (b - a))
            image[y, x] = a + min(max(2 * of_b - 0.5, 0), 1) * (b - a)
    return vae.decode(vae.encode(np.float32(image)[np.newaxis]).mean).numpy()[0]


def test_walks_pass_images_of_what_is_one_ends_or_the_others(exported, images):
    weight = np.float32([0.2, 0.5, 0.9])
    answer = exported.served.interpolate(images, images[::-1], weight)
    for number in (0, 2):  # The middle image is its own other end.
        close(answer[number], numpy_wiped(exported.vae, images[number], images[2 - number], weight[number]))
    close(exported.served.walk(images[0], images[2], 6)[1], answer[0])


def test_walks_begin_and_end_at_the_reconstructions(exported, images):
    served, others = exported.served, images[::-1]
    close(served.interpolate(images, others, np.zeros(3)), served.reconstruct(images))
    close(served.interpolate(images, others, np.ones(3)), served.reconstruct(others))


@every_sampler
@pytest.mark.parametrize("space", ["base", "latent"])
@pytest.mark.parametrize("path", ["spherical", "linear"])
def test_walks_of_every_path_and_space(exported, images, path, space):
    served, sampler = exported.served, exported.sampler
    walk = served.walk(images[0], images[1], 5, path, space)
    close(walk[[0, -1]], served.reconstruct(images[:2]))
    ends = exported.vae.encode(images[:2]).mean
    ends = sampler.to_base(ends).numpy() if space == "base" else ends.numpy()
    quarter = numpy_slerp(*ends, 0.25) if path == "spherical" else 0.75 * ends[0] + 0.25 * ends[1]
    latents = np.float32(quarter)[np.newaxis]
    close(walk[1:2], exported.vae.decode(sampler.from_base(latents) if space == "base" else latents))
    functions = signatures(exported.vae, spec_of(exported.vae), sampler=sampler, way=(path, space))
    pairs = [np.repeat(images[number : number + 1], 5, axis=0) for number in (0, 1)]
    close(functions["interpolate"][0](*pairs, np.float32([0, 0.25, 0.5, 0.75, 1]))["images"], walk)


def test_an_export_without_the_base_space_walks_where_it_can(exported, images, monkeypatch):
    old = {name: one for name, one in exported.served._signatures.items() if not name.endswith("_base")}
    monkeypatch.setattr(exported.served, "_signatures", old)
    for path, space in (("wipe", "base"), ("spherical", "latent"), ("linear", "latent")):
        assert len(exported.served.walk(images[0], images[1], 3, path, space)) == 3
    with pytest.raises(config.UserError, match="--path=linear --space=base: .* was exported before"):
        exported.served.walk(images[0], images[1], 3, "linear", "base")


@pytest.mark.parametrize("wrong", [(1,), (3, "arc"), (3, "linear", "noise"), (3, "wipe", "noise")])
def test_walks_that_there_are_not(exported, images, wrong):
    with pytest.raises(ValueError, match="expected at least 2 steps and a known path and space, got"):
        exported.served.walk(images[0], images[1], *wrong)


@every_sampler
def test_noise_and_latents_are_each_others(exported, random):
    noise = random.normal(size=(3, 4)).astype(np.float32)
    latents = exported.served.from_base(noise)
    close(latents, exported.sampler.from_base(noise))
    np.testing.assert_allclose(exported.served.to_base(latents), noise, atol=1e-3)


@every_sampler
def test_the_density_that_is_drawn_from(exported, random):
    latents = random.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(exported.served.sampler_log_prob(latents), exported.sampler.log_prob(latents), rtol=1e-4)


def test_latents_are_refined_once(exported, random):
    latents = random.normal(size=(3, 4)).astype(np.float32)
    expected = exported.served.encode(exported.served.decode(latents)).mean
    close(exported.served.call("refine", latents=latents)["latents"], expected)


@every_sampler
@pytest.mark.parametrize(
    "name",
    ["reconstruct", "encode", "generate", "decode", "interpolate", "to_base", "from_base", "refine", "log_prob"]
    + ["sampler_log_prob"],
)
def test_a_row_is_answered_from_itself_alone(exported, images, name, random):
    inputs = {
        "reconstruct": {"images": images},
        "encode": {"images": images},
        "generate": {"seed": [[3, 1], [3, 2], [4, 1]], "std": [1, 0.5, 1]},
        "decode": {"latents": random.normal(size=(3, 4))},
        "to_base": {"latents": random.normal(size=(3, 4))},
        "from_base": {"noise": random.normal(size=(3, 4))},
        "refine": {"latents": random.normal(size=(3, 4))},
        "sampler_log_prob": {"latents": random.normal(size=(3, 4))},
        "interpolate": {"images_a": images, "images_b": images[::-1], "weight": [0.1, 0.5, 0.7]},
        "log_prob": {"images": images, "latents": random.normal(size=(3, 4))},
    }[name]
    together = exported.served.call(name, **inputs)
    turned = exported.served.call(name, **{key: value[::-1] for key, value in inputs.items()})
    for row in range(3):
        alone = exported.served.call(name, **{key: value[row : row + 1] for key, value in inputs.items()})
        for key, values in together.items():
            # Of sums over an image float32 keeps six digits.
            np.testing.assert_allclose(alone[key][0], values[row], atol=1e-5, rtol=3e-5)
            np.testing.assert_allclose(turned[key][2 - row], values[row], atol=1e-5, rtol=3e-5)


def test_files_are_answered_as_their_pixels(exported, images, files):
    served, half = exported.served, 0.5 / 255 + 1e-5
    close(served.prepare_bytes(files), images)
    close(served.encode_bytes(files).mean, served.encode(images).mean)
    assert np.abs(png(served.reconstruct_bytes(files)) - served.reconstruct(images)).max() <= half
    latents = served.encode(images).mean
    assert np.abs(png(served.decode_bytes(latents)) - served.decode(latents)).max() <= half
    seeds, weight = serving.seeds(0, 0, 3), [0, 0.5, 1]
    drawn, drawn_latents = served.generate_bytes(seeds, 0.8)
    assert np.abs(png(drawn) - served.generate(seeds, 0.8)[0]).max() <= half
    close(drawn_latents, served.generate(seeds, 0.8)[1])
    walk = served.interpolate(images, images[::-1], weight)
    assert np.abs(png(served.interpolate_bytes(files, files[::-1], weight)) - walk).max() <= half


def test_files_may_have_any_size(exported):
    height, width, channels = exported.vae.image_shape
    sizes = [(1, 1, 3), (40, 31, 3), (7, 90, 3)]
    kinds = ["PNG", "JPEG", "PNG"]
    colours = [file(np.full(size, 200, np.uint8), kind) for size, kind in zip(sizes, kinds, strict=True)]
    prepared = exported.served.prepare_bytes(colours)
    assert prepared.shape == (3, height, width, channels)
    fills = exported.settings.fit != "pad"
    for image in prepared:
        assert (np.abs(image - 200 / 255) < 0.02).all() if fills else (np.abs(image - 200 / 255) < 0.02).any()
    transparent = np.zeros((20, 20, 4), np.uint8)
    background = np.array(exported.settings.background_rgb) / 255
    expected = background if channels == 3 else [background @ (0.299, 0.587, 0.114)]
    close(exported.served.prepare_bytes([file(transparent)])[0, 4, 4], expected)


def test_max_pixels_is_a_constant_of_the_graph():
    settings = config.ModelConfig(network="convolutional", width=8, latent_dim=4)
    functions = signatures(model.build(settings, (8, 8, 3), seed=0), ImageSpec(8, 8, 3), max_pixels=100)
    prepare = tf.function(*functions["prepare_bytes"], autograph=False)
    assert prepare([file(np.zeros((10, 10, 3), np.uint8))])["images"].shape == (1, 8, 8, 3)
    files = [file(np.zeros(size, np.uint8)) for size in ((10, 10, 3), (10, 11, 3))]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"image_bytes\[1\]: expected at most 100 pixels, got 11 x 10"
    ):
        prepare(files)


def test_png_files_of_four_channels_hold_straight_colours():
    straight = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 4), dtype=np.uint8)
    straight[:, 0, 0, 3] = 0
    pixels = np.float32(straight) / 255
    premultiplied = np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], axis=-1)
    found = 255 * png(encode_png(tf.constant(premultiplied)).numpy())
    np.testing.assert_allclose(found, np.where(straight[..., 3:] > 0, straight, 0), atol=1e-3)
    beyond = tf.constant([[[[0.9, 0.2, -1.0, 0.5]]]])
    np.testing.assert_allclose(255 * png(encode_png(beyond).numpy()), [[[[255, 102, 0, 128]]]], atol=1)


def test_images_of_another_size_are_an_invalid_argument(exported):
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        exported.served.reconstruct(np.zeros((1, 5, 5, exported.vae.image_shape[2])))


def test_what_the_ends_share_stays_and_the_rest_changes_once_part_by_part():
    """A model that knows 125 images, of three parts with one of five greys each, and gives any image the nearest."""
    greys = list(itertools.product(np.float32([0, 0.2, 0.55, 0.7, 1]), repeat=3))
    known = np.repeat(np.float32(greys), 2, axis=1)[:, :, np.newaxis, np.newaxis] * np.ones((1, 1, 3, 1), np.float32)

    def encode(images):
        errors = np.square(np.asarray(images)[:, np.newaxis] - known).sum(axis=(2, 3, 4))
        return np.float32(errors.argmin(axis=1))

    def decode(latents):
        return known[np.int64(latents)]

    steps = 10
    weight = tf.linspace(0.0, 1.0, steps)
    for a, b in ((0, 124), (7, 32), (40, 90), (3, 3)):
        ends = (np.repeat(known[number : number + 1], steps, axis=0) for number in (a, b))
        walk = decode(wiped(encode, decode, *ends, weight))[:, ::2, 0, 0]
        np.testing.assert_array_equal(walk[[0, -1]], np.float32([greys[a], greys[b]]))
        switches = [np.flatnonzero(np.diff(part)) for part in walk.T]
        assert [len(switch) for switch in switches] == [int(x != y) for x, y in zip(greys[a], greys[b], strict=True)]
        found = np.concatenate(switches)
        assert (np.diff(found) > 0).all()  # From the top down, one after another.


def test_a_wipe_has_the_upper_rows_of_the_one_and_the_lower_of_the_other():
    a, b = np.zeros((3, 4, 2, 1), np.float32), np.ones((3, 4, 2, 1), np.float32)
    rows = wipe(a, b, np.float32([0, 0.375, 1]))[..., 0]
    np.testing.assert_array_equal(rows[..., 0], [[0, 0, 0, 0], [1, 0.5, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(rows[..., 0], rows[..., 1])


def test_a_pixel_takes_the_nearer_colour():
    a, b = np.float32([0.2, 0.4, 0.6]), np.float32([0.6, 0.4, 0.2])
    beside = np.float32([0.1, -0.2, 0.1])  # Across the line from a to b: no nearer to the one than to the other.
    share = np.float32([-1, 0, 0.2, 0.4, 0.5, 0.6, 0.9, 2])[:, np.newaxis, np.newaxis, np.newaxis]
    expected = np.float32([0, 0, 0, 0.3, 0.5, 0.7, 1, 1]).reshape(share.shape)
    for aside in (0, 1):
        close(decided(a + share * (b - a) + aside * beside, a, b), a + expected * (b - a))
    alike = np.float32([[[[0.3, 0.3, 0.3]]]])
    np.testing.assert_array_equal(decided(np.ones_like(alike), alike, alike), alike)


def test_slerp_keeps_the_length_and_turns_evenly(random):
    a, b = np.float32([[3, 0, 0]]), np.float32([[0, 3, 0]])
    for weight in (0.0, 0.25, 1.0):
        angle = weight * np.pi / 2
        close(slerp(a, b, tf.constant([weight])), [[3 * np.cos(angle), 3 * np.sin(angle), 0]])
    a, b = random.normal(size=(2, 50, 8)).astype(np.float32)
    weight = random.uniform(size=50).astype(np.float32)
    close(slerp(a, b, weight), [numpy_slerp(*row) for row in zip(a, b, weight, strict=True)])


def test_slerp_is_a_line_where_directions_agree_and_finite_everywhere():
    a = np.float32([[1, 2], [1, 2], [0, 0], [1, 0], [1e-20, 0]])
    b = np.float32([[2, 4], [1, 2.0000002], [3, 4], [-1, 0], [0, 1]])
    middle = slerp(a, b, np.float32([0.5] * 5)).numpy()
    close(middle[:2], [[1.5, 3], [1, 2]])
    assert np.isfinite(middle).all()
    close(slerp(a, b, np.zeros(5, np.float32)), a)
    close(slerp(a, b, np.ones(5, np.float32)), b)


def test_mixed_precision_answers_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        settings = config.ModelConfig(network="convolutional", width=8, latent_dim=4)
        vae = model.build(settings, (8, 8, 3), seed=0)
    finally:
        keras.config.set_dtype_policy("float32")
    for function, parameters in signatures(vae, spec_of(vae)).values():
        outputs = tf.function(function, parameters, autograph=False).get_concrete_function().structured_outputs
        assert all(
            value.dtype == (tf.string if key.endswith("_bytes") else tf.float32) for key, value in outputs.items()
        )
