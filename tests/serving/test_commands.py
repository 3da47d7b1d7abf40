"""`generate`, `reconstruct`, `interpolate` and `client` as a user types them."""

import io
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfvae import (
    client,
    commandline,
    config,
    export,
    generate,
    interpolate,
    outputs,
    pictures,
    reconstruct,
    remote,
    serving,
    training,
)

_COMMANDS = {
    "generate": (generate, config.GenerateConfig, (0, 0)),
    "reconstruct": (reconstruct, config.ReconstructConfig, (0, None)),
    "interpolate": (interpolate, config.InterpolateConfig, (0, None)),
}
only_colour = pytest.mark.parametrize("exported", ["colour"], indirect=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Returns a function that runs a command and returns what it printed."""

    def run(name, *arguments):
        module, settings_class, files = (_COMMANDS | {"client": (client, config.ClientConfig, (1, None))})[name]
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        commandline.run(settings_class, module.main, files)
        return capsys.readouterr().out

    return run


@pytest.fixture
def command(exported, run, monkeypatch):
    """As `run`, with the export opened only once."""
    monkeypatch.setattr(serving, "open_export", lambda settings: exported.served)
    return run


class Fake:
    """Stands for an export: it reads PNG files as they are, halves images and walks in a straight line."""

    path = pathlib.Path("saved_models/fake/1")

    def __init__(self, channels):
        self.image_shape = (8, 8, channels)

    def read(self, path):
        try:
            image = pictures.from_png(pathlib.Path(path).read_bytes())
        except OSError:
            raise config.UserError(f"{path}: expected an image file.") from None
        return np.float32(image / 255 if image.dtype == np.uint8 else image)

    def reconstruct(self, images):
        return images / 2

    def walk(self, start, end, steps, *_):
        return np.stack([(1 - weight) * start + weight * end for weight in np.linspace(0, 1, steps, dtype=np.float32)])

    def generate(self, seeds, std):
        return np.float32([premultiplied(some_image(number, self.image_shape[2])) for _, number in seeds]), None

    def generate_bytes(self, seeds, std):
        return [as_png(some_image(number, self.image_shape[2])) for _, number in seeds], None


@pytest.fixture(params=[3])
def fake(request, run, monkeypatch):
    """As `run`, with a `Fake` for an export."""
    monkeypatch.setattr(serving, "open_export", lambda settings: Fake(request.param))
    return run


transparent = pytest.mark.parametrize("fake", [4], indirect=True)


def some_image(number, channels=3):
    """Returns an image of straight colours, uint8 [8, 8, C]."""
    image = np.random.default_rng(number).integers(0, 256, (8, 8, channels), dtype=np.uint8)
    if channels == 4:
        image[image[..., 3] < 50] = 0
    return image


def premultiplied(image):
    """Returns what a model sees of straight colours."""
    image = np.float32(image) / 255
    return (
        image * np.concatenate([image[..., 3:].repeat(3, -1), np.ones((8, 8, 1))], -1) if image.shape[2] == 4 else image
    )


def as_png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def saved(path):
    """Returns the pixels of a PNG file, which has to name the program."""
    with Image.open(path) as image:
        assert image.format == "PNG" and image.info["Software"] == "tfvae"
        return np.asarray(image)


def refused(command, *arguments):
    """Returns the one line with which a command ends."""
    with pytest.raises(SystemExit) as error:
        command(*arguments)
    line = error.value.code
    assert isinstance(line, str) and line.startswith("error: ") and "\n" not in line
    return line


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")) / 255


def shown(path, image):
    """Returns whether the picture `path` shows `image` [H, W, C], enlarged by a whole factor, anywhere."""
    picture, (height, width) = pixels(path), image.shape[:2]
    image = np.rint(np.broadcast_to(image, (height, width, 3)) * 255) / 255
    for factor in range(1, picture.shape[0] // height + 1):
        small = picture[4 + factor // 2 :: factor, 4 + factor // 2 :: factor]
        if len(small) >= height and np.abs(small[:height, :width] - image).max() < 1.5 / 255:
            return True
    return False


def write(path, image):
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@only_colour
def test_generate_draws_a_grid(command, exported, folder):
    assert "samples.png" in command("generate")
    assert names(folder) == ["samples.png"]
    images, _ = exported.served.generate(serving.seeds(0, 0, 64), 0.8)
    assert shown("samples.png", images[0])


@only_colour
def test_a_seed_draws_the_same_images_whatever_their_number(command, exported, folder):
    command("generate", "--num_images=3", "--seed=5", "--output=three")
    command("generate", "--num_images=70", "--seed=5", "--output=many")
    command("generate", "--num_images=3", "--seed=6", "--output=other")
    assert names(folder / "three") == ["00000.png", "00001.png", "00002.png"]
    assert len(names(folder / "many")) == 70
    for name in names(folder / "three"):
        image = pixels(folder / "three" / name)
        assert image.shape == (12, 10, 3)
        assert np.abs(image - pixels(folder / "many" / name)).max() < 1.5 / 255
    assert not np.array_equal(pixels("three/00000.png"), pixels("other/00000.png"))
    command("generate", "--num_images=1", "--seed=5", "--std=0", "--output=typical.png")
    assert shown("typical.png", exported.vae.decode(exported.sampler.from_base(np.zeros((1, 4), np.float32)))[0])


def test_reconstruct_shows_originals_above_reconstructions(command, exported, folder):
    files = [write(folder / f"{number}.png", image) for number, image in enumerate(exported.test_images[:2])]
    printed = command("reconstruct", *files, "--output=pairs.png")
    originals = exported.test_images[:2] / np.float32(255)
    assert shown("pairs.png", originals[0])
    reconstructions = exported.served.reconstruct(originals)
    squares = (reconstructions - originals) ** 2
    for number, square in enumerate(squares):
        (line,) = (line for line in printed.splitlines() if line.startswith(f"{number}.png: "))
        error, psnr = map(float, re.search(r"squared error ([\d.]+), PSNR ([\d.]+) dB", line).groups())
        assert error == pytest.approx(square.sum(), abs=0.006)
        assert psnr == pytest.approx(-10 * math.log10(square.mean()), abs=0.006)
    assert f"squared error {squares.sum() / 2:.2f}" in printed
    command("reconstruct", *files, "--output=single")
    assert names(folder / "single") == ["0.png", "1.png"]
    assert np.abs(pixels("single/1.png") - reconstructions[1]).max() < 1.5 / 255


def test_reconstruct_takes_the_exports_own_images_where_none_are_named(command, exported, folder):
    printed = command("reconstruct")
    assert "all 15: " in printed and shown("reconstructions.png", exported.test_images[0] / 255)


@only_colour
def test_files_of_one_name_are_kept_apart(command, exported, folder):
    for name, image in zip("ab", exported.test_images, strict=False):
        (folder / name).mkdir()
        write(folder / name / "face.png", image)
    command("reconstruct", "a/face.png", "b/face.png", "--output=out")
    assert names(folder / "out") == ["face-2.png", "face.png"]


@pytest.mark.parametrize(("path", "space"), [("wipe", ""), ("spherical", ""), ("linear", "base"), ("linear", "latent")])
def test_interpolate_walks_from_a_to_b(command, exported, folder, path, space):
    a, b = (write(folder / name, image) for name, image in zip(("a.png", "b.png"), exported.test_images, strict=False))
    walk = (f"--path={path}", f"--space={space}", "--steps=5")
    command("interpolate", a, b, *walk, "--output=ab.png", "--animation=webp")
    ends = exported.served.reconstruct(exported.test_images[:2] / 255)
    assert shown("ab.png", ends[0])
    with Image.open("ab.webp") as animation:
        assert animation.n_frames == 8  # There and back.
    command("interpolate", a, b, *walk, "--output=frames")
    assert names(folder / "frames") == [*(f"0000{number}.png" for number in range(5)), "walk.gif"]
    assert np.abs(pixels("frames/00000.png") - ends[0]).max() < 1.5 / 255
    assert np.abs(pixels("frames/00004.png") - ends[1]).max() < 1.5 / 255


@only_colour
def test_interpolate_without_files_walks_between_test_images(command, exported, folder):
    command("interpolate", "--output=frames")
    kept = exported.served.test_images()
    far_apart = [exported.served.read(path) for path in (kept[0], kept[len(kept) // 2])]  # They may be sorted by kind.
    for name, end in zip(("00000", "00010"), exported.served.reconstruct(np.stack(far_apart)), strict=True):
        assert np.abs(pixels(f"frames/{name}.png") - end).max() < 1.5 / 255
    shutil.rmtree("frames")
    command("interpolate")
    assert names(folder) == ["walk.gif", "walk.png"]
    command("interpolate", "--output=still.png", "--animation=none")
    assert names(folder) == ["still.png", "walk.gif", "walk.png"]


def write_folder(folder):
    """Writes images 0 to 3 and files that are none; returns {shown name: image} in their order."""
    for name in ("photos/a", "photos/.hidden"):
        (folder / name).mkdir(parents=True)
    images = {
        "a/face.png": some_image(0),
        "a/head.png": some_image(1),
        "face.png": some_image(2),
        "z.png": some_image(3),
    }
    for name, image in images.items():
        write(folder / "photos" / name, image)
    write(folder / "photos" / ".hidden" / "face.png", some_image(9))
    return images


def error_of(image):
    """Returns the squared error in the words of `reconstruct`, where half an image is its reconstruction."""
    return f"squared error {((np.float32(image) / 255 / 2) ** 2).sum():.2f}, "


@pytest.mark.parametrize("at_once", [2, 64])
def test_reconstruct_takes_the_images_of_a_folder(fake, folder, monkeypatch, at_once):
    monkeypatch.setattr(reconstruct, "_AT_ONCE", at_once)
    images = write_folder(folder)
    printed = fake("reconstruct", "photos").splitlines()
    assert [line.split(": ")[0] for line in printed[:4]] == list(images)
    for line, image in zip(printed, images.values(), strict=False):
        assert error_of(image) in line
    assert printed[4].startswith("all 4: ") and len(printed) == 6
    originals = np.stack(list(images.values()))
    expected = pictures.rows([originals, originals / np.float32(510)])
    np.testing.assert_array_equal(saved("reconstructions.png"), expected)


def test_reconstruct_names_the_files_of_folders_apart(fake, folder):
    images = write_folder(folder)
    one = write(folder / "face.png", some_image(4))
    fake("reconstruct", one, "photos", "--output=out")
    found = {name: saved(folder / "out" / name) for name in names(folder / "out")}
    expected = [some_image(4), *images.values()]
    for name, image in zip(("face.png", "face-2.png", "head.png", "face-3.png", "z.png"), expected, strict=True):
        np.testing.assert_array_equal(found.pop(name), pictures.single(image / np.float32(510)))
    assert not found


def test_reconstruct_leaves_out_what_cannot_be_read_in_a_folder(fake, folder):
    images = write_folder(folder)
    for name in ("a/head.png", "z.png"):
        (folder / "photos" / name).write_text("no image")
        del images[name]
    with pytest.warns(UserWarning, match=r"^2 of 4 images cannot be read and are left out: a/head.png, z.png\.$"):
        printed = fake("reconstruct", "photos", "--output=out").splitlines()
    assert [line.split(": ")[0] for line in printed[:3]] == [*images, "all 2"]
    assert names(folder / "out") == ["face-2.png", "face.png"]
    line = refused(fake, "reconstruct", "photos", "photos/z.png", "--output=other")
    assert line == "error: photos/z.png: expected an image file."
    for name in images:
        (folder / "photos" / name).write_text("no image")
    line = refused(fake, "reconstruct", "photos")
    assert "Expected images that can be read, got 4 that cannot: a/face.png, a/head.png, face.png, z.png." in line
    assert not (folder / "reconstructions.png").exists()


def test_reconstruct_of_more_than_fit_one_picture_is_one_line(fake, folder, monkeypatch):
    monkeypatch.setattr(outputs, "_MOST_PIXELS", 7 * 8 * 8)
    write_folder(folder)
    line = refused(fake, "reconstruct", "photos")
    assert "--output must be a folder for more than 7 images, got one picture for 8." in line


@pytest.mark.parametrize("fake", [3, 4], indirect=True)
def test_interpolate_tours_through_any_number_of_images(fake, folder):
    with_alpha = "RGBA" if (channels := serving.open_export(None).image_shape[2]) == 4 else "RGB"
    images = [some_image(number, channels) for number in range(4)]
    files = [write(folder / f"{number}.png", image) for number, image in enumerate(images)]
    a, b, c, d = (premultiplied(image) for image in images)
    tour = np.stack([a, a / 2 + b / 2, b, b / 2 + c / 2, c, c / 2 + d / 2, d])
    assert fake("interpolate", *files, "--steps=3", "--animation=webp").startswith(
        "7 images from saved_models/fake/1: "
    )
    np.testing.assert_array_equal(saved("walk.png"), pictures.rows([tour[:2], tour[2:4], tour[4:]]))
    with Image.open("walk.webp") as animation:
        assert animation.n_frames == 12
        for number, image in enumerate([*tour, *tour[-2:0:-1]]):
            animation.seek(number)
            shown = np.asarray(animation.convert(with_alpha))[::30, ::30]
            np.testing.assert_array_equal(shown, pictures.single(image))
    fake("interpolate", *files, "--steps=3", "--output=frames")
    assert names(folder / "frames") == [*(f"0000{number}.png" for number in range(7)), "walk.gif"]
    for number, image in enumerate(tour):
        np.testing.assert_array_equal(saved(folder / "frames" / f"0000{number}.png"), pictures.single(image))


def test_a_tour_too_long_for_one_picture_is_one_line(fake, folder, monkeypatch):
    monkeypatch.setattr(outputs, "_MOST_PIXELS", 20 * 8 * 8)
    files = [write(folder / f"{number}.png", some_image(number)) for number in range(3)]
    assert "for more than 20 images, got one picture for 21." in refused(fake, "interpolate", *files)
    assert names(folder) == ["0.png", "1.png", "2.png"]


@transparent
def test_transparent_images_go_in_and_out_with_straight_colours(fake, folder):
    fake("generate", "--num_images=3", "--output=new")
    for number in range(3):
        np.testing.assert_array_equal(saved(f"new/0000{number}.png"), some_image(number, 4))
    fake("generate", "--num_images=2")
    images = [some_image(number, 4) for number in range(2)]
    np.testing.assert_array_equal(saved("samples.png"), pictures.grid([premultiplied(image) for image in images]))
    file = write(folder / "one.png", images[0])
    fake("reconstruct", file, "--output=again")
    half = images[0].astype(int)  # Half of all four channels is the same colour, half as opaque.
    half[..., 3] = np.rint(half[..., 3] / 2)
    np.testing.assert_array_equal(saved("again/one.png"), half)
    fake("reconstruct", file)
    picture = saved("reconstructions.png")
    factor = (picture.shape[1] - 8) // 8
    np.testing.assert_array_equal(picture[4 : 4 + 8 * factor : factor, 4:-4:factor], images[0])
    np.testing.assert_array_equal(picture[8 + 8 * factor : -4 : factor, 4:-4:factor], half)


class FakeServer:
    """Answers each row with a PNG of its number, and keeps the files that it was sent."""

    def __init__(self, channels):
        self.channels, self.sent = channels, []

    def call(self, signature, output, **inputs):
        self.sent += inputs.get("image_bytes", [])
        return [as_png(some_image(number, self.channels)) for number in range(len(next(iter(inputs.values()))))]


@pytest.mark.parametrize("channels", [3, 4])
def test_the_client_keeps_the_pixels_of_the_server(run, folder, monkeypatch, channels):
    monkeypatch.setattr(remote, "connect", lambda *_: FakeServer(channels))
    images = [some_image(number, channels) for number in range(4)]
    run("client", "generate", "--num_images=4", "--output=new")
    for number, image in enumerate(images):
        np.testing.assert_array_equal(saved(f"new/0000{number}.png"), image)
    run("client", "generate", "--num_images=4")
    picture = saved("samples.png")
    factor = (picture.shape[0] - 12) // 16
    step = 8 * factor + 4
    for number, image in enumerate(images):
        top, left = 4 + number // 2 * step, 4 + number % 2 * step
        shown = picture[top : top + 8 * factor : factor, left : left + 8 * factor : factor]
        np.testing.assert_array_equal(shown, image)


def test_the_client_sends_png_and_jpeg_as_they_are_and_all_else_as_png(run, folder, monkeypatch):
    server = FakeServer(3)
    monkeypatch.setattr(remote, "connect", lambda *_: server)
    files = [folder / f"one.{ending}" for ending in ("png", "jpg", "bmp", "tiff")]
    for file in files:
        Image.fromarray(some_image(0)).save(file)
    run("client", "reconstruct", *files)
    assert server.sent[:2] == [file.read_bytes() for file in files[:2]]
    for contents in server.sent[2:]:
        with Image.open(io.BytesIO(contents)) as image:
            assert image.format == "PNG"
            np.testing.assert_array_equal(np.asarray(image), some_image(0))
    (folder / "notes.txt").write_text("no image")
    assert "notes.txt: expected an image file" in refused(
        run, "client", "reconstruct", "one.png", "notes.txt", "--overwrite"
    )


@only_colour
def test_nothing_is_overwritten_unasked(command, folder, monkeypatch):
    (folder / "full").mkdir()
    for name in ("samples.png", "reconstructions.png", "walk.png", "other.gif", "full/mine.txt"):
        (folder / name).write_text("mine")

    def too_late(settings):
        raise AssertionError("The export was opened before the output was looked at.")

    opened = serving.open_export
    monkeypatch.setattr(serving, "open_export", too_late)
    for name, output in (("generate", "samples"), ("reconstruct", "reconstructions"), ("interpolate", "walk")):
        assert f"{output}.png exists; name another one or add --overwrite" in refused(command, name)
        assert "full is not empty" in refused(command, name, "--output=full")
    assert "other.gif exists" in refused(command, "interpolate", "--output=other.png")
    assert all((folder / name).read_text() == "mine" for name in ("samples.png", "walk.png", "other.gif"))
    monkeypatch.setattr(serving, "open_export", opened)
    command("generate", "--num_images=1", "--overwrite")
    assert pixels("samples.png").size
    assert "full also holds 1 older file." in command("generate", "--num_images=1", "--overwrite", "--output=full")
    assert names(folder / "full") == ["00000.png", "mine.txt"]


@only_colour
def test_mistakes_are_one_line(command, folder):
    (folder / "notes.txt").write_text("no image")
    (folder / "shots").mkdir()
    (folder / "file").touch()
    for arguments, words in (
        (["generate", "--num_images=0"], "--num_images must be at least 1, got 0"),
        (["generate", "--std=-1"], "--std must be at least 0"),
        (["generate", "a.png"], "Expected 0 arguments that are no flags, got 1: a.png"),
        (["generate", "--output=no/where.png"], "--output: no such folder: no."),
        (["generate", "--output=samples.jpg"], "--output must end in .png, or be a folder"),
        (["generate", "--output=file"], "got the file file"),
        (["generate", "--num_images=9999999", "--output=all.png"], "--output must be a folder for more than 833,333"),
        (["reconstruct", "missing.png"], "missing.png: no such file"),
        (["reconstruct", "shots"], "shots: expected images in this folder, got none"),
        (["reconstruct", "notes.txt"], "notes.txt: expected an image file, got none that Pillow reads"),
        (["interpolate", "notes.txt"], "Expected two images or more, or none, got one: notes.txt"),
        (["interpolate", "notes.txt", "shots"], "shots: is a folder, not an image"),
        (["interpolate", "notes.txt", "missing.png"], "missing.png: no such file"),
        (["interpolate", "--steps=1"], "--steps must be at least 2"),
        (["interpolate", "--space=latent"], "--space=latent needs --path=spherical or --path=linear, got --path=wipe."),
    ):
        assert words in refused(command, *arguments)
    assert names(folder) == ["file", "notes.txt", "shots"]


@only_colour
def test_a_disk_that_is_full_is_one_line(command, folder, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    for name in _COMMANDS:
        assert "--output: cannot write" in refused(command, name) and names(folder) == []


def test_a_folder_without_permission_is_one_line(folder, tmp_path):
    tmp_path.chmod(0o755)
    if not os.geteuid():
        os.seteuid(65534)  # For root everything is allowed.
    else:
        tmp_path.chmod(0o555)
    try:
        with pytest.raises(config.UserError, match="--output: cannot write into .*Permission denied"):
            outputs.check("samples.png")
    finally:
        os.seteuid(os.getuid())
        tmp_path.chmod(0o755)


def test_a_file_system_that_holds_no_files_is_one_line():
    if not os.path.isdir("/proc/self"):
        pytest.skip("there is no /proc here")
    for refusing in (lambda: outputs.check("/proc/self/samples.png"), lambda: config.folder("/proc/self", "--output")):
        with pytest.raises(config.UserError, match="--output: cannot write into /proc/self: "):
            refusing()


@only_colour
def test_an_export_is_all_that_a_command_needs(exported, folder):
    code = """if True:
        import runpy, sys
        for name in ("model", "training", "evaluation"):
            sys.modules[f"tfvae.{name}"] = None  # Importing it raises.
        sys.argv = ["generate", *sys.argv[1:]]
        runpy.run_module("tfvae.generate", run_name="__main__", alter_sys=True)
    """
    base = exported.served.path.parent.parent
    arguments = [f"--export_dir={base}", "--num_images=2", "--output=drawn"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert child.returncode == 0, child.stderr
    assert str(exported.served.path) in child.stdout
    contents = (folder / "drawn" / "00001.png").read_bytes()
    expected = exported.served.generate_bytes(serving.seeds(0, 1, 2), 0.8)[0][0]
    a, b = (np.asarray(Image.open(io.BytesIO(one))).astype(int) for one in (contents, expected))
    assert np.abs(a - b).max() <= 1


def test_help_and_mistakes_do_not_wait_for_tensorflow(folder):
    code = """if True:
        import runpy, sys
        sys.modules["tensorflow"] = sys.modules["keras"] = None
        sys.argv = sys.argv[1:]
        runpy.run_module(f"tfvae.{sys.argv[0]}", run_name="__main__", alter_sys=True)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for name in _COMMANDS:
        for argument, returncode in (("--help", 0), ("--output=no/where.png", 1)):
            child = subprocess.run(
                [sys.executable, "-c", code, name, argument],
                capture_output=True,
                text=True,
                cwd=folder,
                env=environment,
            )
            assert (child.returncode, "Traceback" in child.stderr) == (returncode, False)
            assert "--output" in child.stdout + child.stderr


def test_export_says_where_the_new_version_is(folder, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(training, "export_run", lambda settings: asked.append(settings) or folder / "faces" / "2")
    monkeypatch.setattr(sys, "argv", ["export", "--name=faces", "--export_dir=here"])
    commandline.run(config.ExportConfig, export.main)
    assert asked == [config.ExportConfig(name="faces", export_dir="here")]
    assert f"Exported: {folder / 'faces' / '2'}" in capsys.readouterr().out
