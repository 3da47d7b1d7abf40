import io

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


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 2), (2, 8, 8, 5), (0, 8, 8, 3), (0, 8, 8, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="Expected"):
        pictures.rows([np.zeros(shape)])


def test_integers_that_are_no_bytes_are_refused():
    with pytest.raises(ValueError, match="uint8 or of floats"):
        pictures.grid(np.ones((1, 8, 8, 1), np.int64))


def test_images_of_different_channels_do_not_share_a_picture():
    with pytest.raises(ValueError, match="of one size"):
        pictures.rows([np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 4))])


def premultiplied(straight):
    """Returns uint8 [..., 4] of straight colours as floats multiplied by alpha."""
    alphas = straight[..., 3:] / 255
    return np.concatenate([straight[..., :3] / 255 * alphas, alphas], axis=-1)


@pytest.fixture
def straight():
    """uint8 [4, 8, 8, 4] with straight colours and all alphas; where alpha is 0, so are the colours."""
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 4), dtype=np.uint8)
    images[1, :4, :, 3], images[1, 4:, :, 3] = 255, 0
    images[2, :4, :, 3], images[2, 4:, :, 3] = 0, 255
    images[3, ..., 3] = 0
    images[images[..., 3] == 0] = 0
    return images


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_colours_of_floats_come_back_straight(straight, dtype):
    image = premultiplied(straight).astype(dtype)
    np.testing.assert_array_equal([pictures.single(one) for one in image], straight)


def test_colours_of_bytes_come_back_straight_as_far_as_bytes_go():
    alphas, colours = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    straight = np.stack([colours, 255 - colours, colours // 2, alphas], axis=-1)
    image = np.rint(255 * premultiplied(straight)).astype(np.uint8)
    picture = pictures.single(image).astype(int)
    np.testing.assert_array_equal(picture[..., 3], alphas)
    np.testing.assert_array_equal(picture[255], straight[255])
    np.testing.assert_array_equal(picture[0], 0)
    # A byte of colour times alpha is within a half, so what it is divided to is within 127.5 / alpha; and rounded.
    errors = np.abs(picture - straight)[1:, :, :3].max(axis=(1, 2))
    assert (errors <= 127.5 / np.arange(1, 256) + 0.5).all()


def test_a_colour_above_its_alpha_is_full_and_no_number_is_transparent():
    image = [[[0.6, 0.3, 0.0, 0.4], [0.2, 0.2, 0.2, 0.0], [2.0, 0.0, -1.0, 3.0], [0.1, 0.1, 0.1, np.nan]]]
    found = pictures.single(np.array(image))
    np.testing.assert_array_equal(found, [[[255, 191, 0, 102], [0, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 0]]])
    found = pictures.single(np.array([[[200, 50, 0, 100], [1, 2, 3, 0]]], np.uint8))
    np.testing.assert_array_equal(found, [[[255, 128, 0, 100], [0, 0, 0, 0]]])


def test_pictures_of_four_channels_have_transparent_gutters(straight):
    images = premultiplied(straight)
    for picture in (pictures.grid(images, 4), pictures.rows([images]), pictures.strip(images)):
        factor = (picture.shape[0] - 8) // 8
        assert picture.shape == (8 * factor + 8, 4 * (8 * factor + 4) + 4, 4) and picture.dtype == np.uint8
        for number in range(4):
            left = 4 + number * (8 * factor + 4)
            shown = picture[4:-4, left : left + 8 * factor]
            enlarged = straight[number].repeat(factor, axis=0).repeat(factor, axis=1)
            np.testing.assert_array_equal(shown, enlarged)
            picture[4:-4, left : left + 8 * factor] = 0
        assert not picture.any()


def test_save_writes_a_png_and_nothing_else(tmp_path):
    pictures.save(squares(1)[0], tmp_path / "one.png")
    pictures.save(pictures.single(np.full((8, 8, 1), 0.2)), tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(image), np.full((8, 8, 3), 51))
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_save_writes_a_picture_as_it_is(tmp_path, straight):
    for picture in (straight[0], pictures.grid(premultiplied(straight))):
        pictures.save(picture, tmp_path / "one.png")
        with Image.open(tmp_path / "one.png") as image:
            assert image.mode == "RGBA"
            np.testing.assert_array_equal(np.asarray(image), picture)
        assert (tmp_path / "one.png").read_bytes() == pictures.to_png(picture)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4)), np.zeros((8, 8, 1), np.uint8), squares(1)]
)
def test_an_image_is_no_picture(tmp_path, image):
    with pytest.raises(ValueError, match="Expected a picture, .*`single` makes one of an image"):
        pictures.save(image, tmp_path / "one.png")
    assert not list(tmp_path.iterdir())


def encoded(pixels, mode):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_png_files_are_written_and_read_with_their_own_pixels(tmp_path, straight, mode):
    contents = encoded(straight[0], mode)
    pictures.save_png(contents, tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as image, Image.open(io.BytesIO(contents)) as original:
        assert image.mode == mode and image.info["Software"] == "tfvae" and "Software" not in original.info
        pixels = np.asarray(original)
        np.testing.assert_array_equal(np.asarray(image), pixels)
    image = pictures.from_png(contents)
    if mode == "RGBA":
        np.testing.assert_allclose(image, premultiplied(straight[0]), atol=1e-7)
        np.testing.assert_array_equal(pictures.single(image), straight[0])
    else:
        np.testing.assert_array_equal(image, np.broadcast_to(pixels.reshape(8, 8, -1), (8, 8, 3)))


def test_leftovers_of_other_processes_are_looked_for_once_a_folder(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pictures.locks, "remove_leftovers", lambda folder, _: asked.append(folder))
    for number in range(3):
        pictures.save(squares(1)[0], tmp_path / f"{number}.png")
    assert asked == [tmp_path]


def test_every_file_names_the_program(tmp_path, straight):
    pictures.save(squares(1)[0], tmp_path / "picture.png")
    pictures.learning_curve([3.0, 2.0], tmp_path / "curve.png")
    for name in ("picture.png", "curve.png"):
        with Image.open(tmp_path / name) as image:
            assert image.text["Software"] == "tfvae"
    for images in (squares(3), squares(1), premultiplied(straight), premultiplied(straight[:1])):
        pictures.animation(images, tmp_path / "walk.gif")
        with Image.open(tmp_path / "walk.gif") as image:
            assert image.info["comment"] == b"tfvae"
        pictures.animation(images, tmp_path / "walk.webp")
        with Image.open(tmp_path / "walk.webp") as image:
            assert image.getexif()[0x0131] == "tfvae"


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


def frames(path, size):
    """Returns an animation as a viewer shows it, RGBA [N, size, size, 4], each enlarged pixel as one."""
    shown = []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            pixels = np.asarray(image.convert("RGBA"))
            factor = len(pixels) // size
            assert np.array_equal(pixels, pixels[::factor, ::factor].repeat(factor, axis=0).repeat(factor, axis=1))
            shown.append(pixels[::factor, ::factor])
    return np.stack(shown)


def test_a_webp_animation_keeps_all_alphas(tmp_path, straight):
    pictures.animation(premultiplied(straight), tmp_path / "walk.webp")
    np.testing.assert_array_equal(frames(tmp_path / "walk.webp", 8), straight[[0, 1, 2, 3, 2, 1]])


def test_a_gif_shows_what_is_more_than_half_there_and_no_frame_shines_through_the_next(tmp_path, straight):
    straight[0, 0, :2, 3] = 127, 128
    pictures.animation(premultiplied(straight), tmp_path / "walk.gif")
    expected = straight[[0, 1, 2, 3, 2, 1]]
    visible = expected[..., 3] >= 128
    found = frames(tmp_path / "walk.gif", 8)
    np.testing.assert_array_equal(found[..., 3], 255 * visible)
    np.testing.assert_array_equal(found[visible][:, :3], expected[visible][:, :3])
    assert (tmp_path / "walk.gif").read_bytes().count(b"GIF89a") == 1


def test_a_gif_of_one_opaque_colour_has_no_hole(tmp_path):
    image = np.full((2, 8, 8, 4), 255, np.uint8)
    image[1, ..., :3] = 0
    pictures.animation(image, tmp_path / "walk.gif", there_and_back=False)
    np.testing.assert_array_equal(frames(tmp_path / "walk.gif", 8), image)


def test_a_gif_of_many_colours_keeps_its_holes(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 4), dtype=np.uint8)
    image[..., 3] = np.where(np.arange(40) % 2, 255, 0)
    pictures.animation(premultiplied(image), tmp_path / "walk.gif", there_and_back=False)
    found = frames(tmp_path / "walk.gif", 40)
    np.testing.assert_array_equal(found[..., 3], image[..., 3])
    assert np.abs(found.astype(int) - image)[:, :, 1::2, :3].mean() < 40  # 255 colours for 800; any two are 85 apart.


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


def test_each_walk_of_several_begins_a_line():
    short, long = squares(5), squares(18)[5:]
    assert places(pictures.strip(short[:2], short[2:])) == [[10, 20], [30, 40, 50]]
    lines = [[10, 20, 30, 40, 50], list(range(60, 130, 10)), list(range(130, 190, 10))]
    assert places(pictures.strip(short, long)) == lines
