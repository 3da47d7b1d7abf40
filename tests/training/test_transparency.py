"""--channels=4: sprites with transparency in, images with clean edges out, on black and on white."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tfvae import config, serving, training

COLOUR = (230, 60, 30)
COUNT, SIZE = 300, 24


def sprite(random):
    """Returns a disc or a square of `COLOUR`, smooth at its edges; what nobody sees of it is green or blue."""
    alpha = Image.new("L", (4 * SIZE, 4 * SIZE))
    left, top = random.integers(8, 40, 2)
    box = (left, top, left + random.integers(36, 48), top + random.integers(36, 48))
    draw = ImageDraw.Draw(alpha)
    (draw.ellipse if random.integers(2) else draw.rectangle)(tuple(map(int, box)), fill=255)
    alpha = np.asarray(alpha.resize((SIZE, SIZE), Image.Resampling.BOX))
    pixels = np.empty((SIZE, SIZE, 4), np.uint8)
    pixels[..., :3] = np.where(alpha[..., None] > 0, COLOUR, (0, 255, 0) if random.integers(2) else (0, 0, 255))
    pixels[..., 3] = alpha
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sprites")
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for number in range(COUNT):
        sprite(random).save(folder / "images" / f"{number:03d}.png")
    places = {name: str(folder / name) for name in ("runs_dir", "export_dir", "data_dir")}
    return training.fit(
        config.TrainConfig(
            data=str(folder / "images"),
            image_size=SIZE,
            channels=4,
            width=16,
            latent_dim=5,
            objective="beta",
            beta=20.0,
            epochs=40,
            batch_size=10,
            lr=1e-3,
            lr_end=1e-4,
            ema=0.0,
            sampler="prior",
            jit=False,
            **places,
        )
    )


def test_samples_of_sprites_have_clean_edges_on_black_and_on_white(export):
    served = serving.Served(export)
    assert served.image_shape == (SIZE, SIZE, 4)
    images, _ = served.generate(serving.seeds(0, 0, 64), 0.8)
    colours, alphas = images[..., :3], images[..., 3:]
    assert (colours <= alphas + 0.1).all()  # Colours are multiplied by alpha.
    assert 0.1 < alphas.mean() < 0.5  # Something is drawn, on transparency.
    is_edge, is_inside = ((alphas[..., 0] > low) & (alphas[..., 0] < high) for low, high in ((0.3, 0.8), (0.95, 2)))
    assert is_edge.sum() > 500 and is_inside.sum() > 1000
    wanted = np.array(COLOUR) / 255
    straight = colours / np.maximum(alphas, 1e-3)
    # A halo would be an edge of another colour than the inside: of the hidden green and blue, of black or of white.
    for where in (is_edge, is_inside):
        assert np.abs(straight[where] - wanted).mean(axis=0).max() < 0.06
    for background in (0.0, 1.0):
        shown = colours + background * (1 - alphas)
        expected = wanted * alphas + background * (1 - alphas)
        assert np.abs(shown - expected)[is_edge].mean() < 0.04
    assert np.median(alphas) < 0.03  # No haze around.


def test_files_of_an_export_with_transparency_have_it(export):
    served = serving.Served(export)
    images, _ = served.generate(serving.seeds(0, 0, 4), 0.8)
    contents, _ = served.generate_bytes(serving.seeds(0, 0, 4), 0.8)
    for image, content in zip(images, contents, strict=True):
        file = np.asarray(Image.open(io.BytesIO(content)))
        assert file.shape == (SIZE, SIZE, 4)
        np.testing.assert_allclose(file[..., 3] / 255, image[..., 3], atol=0.003)
        seen = file[..., 3] > 200
        np.testing.assert_allclose(
            file[..., :3][seen] / 255, (image[..., :3][seen] / image[..., 3:][seen]).clip(0, 1), atol=0.01
        )
    kept = np.stack([served.read(path) for path in served.test_images()])
    assert kept[..., 3].min() == 0 and kept[..., 3].max() == 1
    error = np.abs(served.reconstruct(kept) - kept).mean()
    assert error < 0.05
