import numpy as np
import pytest
from PIL import Image

from tfvae import pictures


def squares(number, size=8, channels=3):
    """Returns images [number, size, size, channels] uint8, each of one colour: 10, 20, 30, ..."""
    values = np.arange(10, 10 * number + 1, 10, dtype=np.uint8)
    return np.broadcast_to(values[:, None, None, None], (number, size, size, channels))


def places(picture):
    """Returns the colours of a picture, as rows of the squares that stand beside each other; 255 is no square."""
    blocks = []
    grey = picture[..., 0].astype(int)
    for line in grey:
        colours = [int(value) for value in line[np.r_[True, np.diff(line) != 0]] if value != 255]
        if colours and (not blocks or blocks[-1] != colours):
            blocks.append(colours)
    return blocks


def test_a_grid_shows_each_image_in_reading_order():
    assert places(pictures.grid(squares(5), columns=2)) == [[10, 20], [30, 40], [50]]
    assert places(pictures.grid(squares(9))) == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]


def test_rows_are_pairs_in_blocks():
    originals, reconstructions = squares(3), squares(6)[3:]
    assert places(pictures.rows([originals, reconstructions])) == [[10, 20, 30], [40, 50, 60]]
    assert places(pictures.rows([originals, reconstructions], columns=2)) == [[10, 20], [40, 50], [30], [60]]


def test_small_images_are_enlarged_and_their_pixels_kept():
    image = np.random.default_rng(0).integers(0, 255, (1, 8, 6, 3), dtype=np.uint8)
    picture = pictures.grid(image)
    assert min(picture.shape[:2]) > 100
    margin = 4
    factor = (picture.shape[0] - 2 * margin) // 8
    middle = margin + factor // 2
    assert np.array_equal(picture[middle::factor, middle::factor][:8, :6], image[0])
    large = np.zeros((1, 500, 400, 3), np.uint8)
    assert pictures.grid(large).shape == (508, 408, 3)


def test_floats_are_rounded_and_clipped():
    values = np.float32([-1, 0.0019, 0.002, 0.5, 1, 7]).reshape(6, 1, 1, 1)
    images = np.broadcast_to(values, (6, 8, 8, 1))
    assert places(pictures.grid(images, 6))[0] == [0, 0, 1, 128]  # And 255, as the gutter is.


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 4), (0, 8, 8, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="Expected"):
        pictures.rows([np.zeros(shape)])


def test_integers_that_are_no_bytes_are_refused():
    with pytest.raises(ValueError, match="uint8 or of floats"):
        pictures.grid(np.ones((1, 8, 8, 1), np.int64))


def test_save_writes_a_png_and_nothing_else(tmp_path):
    pictures.save(squares(1)[0], tmp_path / "one.png")
    pictures.save(np.full((8, 8, 1), 0.2), tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as image:
        assert image.format == "PNG" and np.array_equal(np.asarray(image), np.full((8, 8, 3), 51))
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    pictures.save(squares(1)[0], tmp_path / "one.png")
    before = (tmp_path / "one.png").read_bytes()

    def fail(self, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        pictures.save(squares(2)[1], tmp_path / "one.png")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"one.png": before}


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_an_animation_goes_there_and_back(tmp_path, suffix):
    path = tmp_path / f"walk.{suffix}"
    pictures.animation(squares(4), path, milliseconds=50)
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        shown = []
        for number in range(image.n_frames):
            image.seek(number)
            shown.append(image.convert("RGB").getpixel((20, 20))[0])
    assert shown == [10, 20, 30, 40, 30, 20]
    pictures.animation(squares(4), path, there_and_back=False)
    with Image.open(path) as image:
        assert image.n_frames == 4
    pictures.animation(squares(1), path)  # One image is an animation too.


def test_an_animation_of_another_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="gif or .webp"):
        pictures.animation(squares(2), tmp_path / "walk.png")


def test_a_gif_keeps_its_colours(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    pictures.animation(images, tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as image:
        first = np.asarray(image.convert("RGB"))
    factor = first.shape[0] // 12
    assert np.array_equal(first[::factor, ::factor], images[0])  # 144 colours fit into a palette of 256.


def curve_limits(monkeypatch, tmp_path, losses, **arguments):
    """Draws a curve and returns the limits of its loss axis."""
    from matplotlib.axes import Axes

    limits = []
    original = Axes.set_ylim
    monkeypatch.setattr(Axes, "set_ylim", lambda self, *a, **k: limits.append(a) or original(self, *a, **k))
    pictures.learning_curve(losses, tmp_path / "curve.png", **arguments)
    with Image.open(tmp_path / "curve.png") as image:
        assert image.size[0] > 800
    return next(limit for limit in limits if len(limit) == 2)


def test_first_spikes_do_not_flatten_the_curve(monkeypatch, tmp_path):
    steps = np.arange(1, 10001)
    losses = -20000 + 3000 / np.sqrt(steps)
    losses[:50] += 1e7
    losses[[100, 7000]] = np.nan, np.inf
    validation = [-19950.0, -19960.0, float("nan"), -19970.0]
    low, high = curve_limits(monkeypatch, tmp_path, losses, validation=validation, steps_per_epoch=2500)
    assert -20100 < low < -19970 and -19960 < high < -19000


@pytest.mark.parametrize("number", [1, 2, 7, 3001])
def test_any_number_of_losses_is_drawn(monkeypatch, tmp_path, number):
    low, high = curve_limits(monkeypatch, tmp_path, np.full(number, 5.0), validation=[4.0], steps_per_epoch=1)
    assert low < 4 and high > 5


def test_no_finite_loss_is_refused(tmp_path):
    with pytest.raises(ValueError, match="finite loss"):
        pictures.learning_curve([float("nan")], tmp_path / "curve.png")


def test_the_running_mean_does_not_lag():
    line = np.arange(100.0)
    means = pictures._running_mean(line, 10)
    assert np.allclose(means[:95], line[:95])
    assert means[99] == line[94:].mean()


@pytest.mark.parametrize(("count", "columns"), [(2, 2), (11, 11), (13, 7), (24, 12)])
def test_a_walk_is_a_line_or_lines_of_a_length(count, columns):
    np.testing.assert_array_equal(pictures.strip(squares(count)), pictures.rows([squares(count)], columns))
