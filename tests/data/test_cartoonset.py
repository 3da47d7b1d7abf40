"""--data=cartoonset10k and 100k, on archives in the official layouts that are made here."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from tfvae import config, data
from tfvae.data import cartoonset

COUNT = 24


def picture(number):
    """Returns RGBA uint8 [20, 20, 4]: a coloured square on a transparent background."""
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[5:15, 5:15] = (number * 10, 255 - number * 10, 99, 255)
    return pixels


def indices(number):
    return {name: (number * 7 + k) % count for k, (name, count) in enumerate(cartoonset.ATTRIBUTES.items())}


def files():
    """Returns {name: (png, csv)} as Google writes them."""
    made = {}
    for number in range(COUNT):
        buffer = io.BytesIO()
        Image.fromarray(picture(number)).save(buffer, "PNG")
        lines = [f'"{name}", {index}, {cartoonset.ATTRIBUTES[name]}\n' for name, index in indices(number).items()]
        made[f"cs1{number:018d}"] = (buffer.getvalue(), "".join(lines).encode())
    return made


def members(layout):
    """Returns [(path in the archive, content)]: 10k is one folder, 100k has subfolders 0 to 9."""
    found = []
    for k, (name, (png, csv)) in enumerate(files().items()):
        folder = "cartoonset10k" if layout == "10k" else f"cartoonset100k/{k % 10}"
        found += [(f"{folder}/{name}.csv", csv), (f"{folder}/{name}.png", png)]
    return found


def write_archive(path, entries, links=()):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def write_folder(path, entries):
    for name, content in entries:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def load(archive, data_dir, name="cartoonset10k"):
    settings = config.DataConfig(
        data=name, archive=str(archive), image_size=20, batch_size=4, background="lime", data_dir=str(data_dir)
    )
    return data.load(settings)


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """{layout: path} of the same images."""
    folder = tmp_path_factory.mktemp("cartoonset")
    return {
        "10k archive": write_archive(folder / "cartoonset10k.tgz", members("10k")),
        "100k archive": write_archive(folder / "cartoonset100k.tgz", members("100k")),
        "10k folder": write_folder(folder / "ten", members("10k")),
        "100k folder": write_folder(folder / "hundred", members("100k")),
    }


@pytest.mark.parametrize("layout", ["10k archive", "100k archive", "10k folder", "100k folder"])
def test_every_image_arrives_with_its_attributes_in_the_same_split(layouts, layout, tmp_path):
    loaded = load(layouts[layout], tmp_path, f"cartoonset{layout.split()[0]}")
    colours = {number: (number * 10, 255 - number * 10, 99) for number in range(COUNT)}
    seen = {}
    for split in ("train", "validation", "test"):
        images, attributes = loaded.images(split), loaded.attributes[split]
        assert list(attributes) == sorted(cartoonset.ATTRIBUTES) and loaded.visible[split] == {}
        for k, image in enumerate(images):
            (number,) = [number for number, colour in colours.items() if tuple(image[10, 10]) == colour]
            expected = np.full((20, 20, 3), (0, 255, 0))  # The transparent background is composited on lime.
            expected[5:15, 5:15] = colours[number]
            np.testing.assert_array_equal(image, expected)
            assert {name: column[k] for name, column in attributes.items()} == indices(number)
            seen[number] = split
    assert sorted(seen) == list(range(COUNT))
    assert {name: len(values) for name, values in loaded.attribute_values.items()} == cartoonset.ATTRIBUTES
    names = list(files())
    if {cartoonset.split_of(name) for name in names} == {"train", "validation", "test"}:
        assert seen == {number: cartoonset.split_of(name) for number, name in enumerate(names)}


def test_splits_are_a_fixed_tenth_each():
    found = [cartoonset.split_of(f"cs{number}") for number in range(5000)]
    assert found == [cartoonset.split_of(f"cs{number}") for number in range(5000)]
    for split, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(found.count(split) / 5000 - share) < 0.02  # Five standard deviations of 5000 draws.


def test_nothing_of_an_archive_is_written_outside(tmp_path):
    entries = [*members("10k"), ("../../cs-outside.txt", b"x"), ("/tmp/cs-root.txt", b"x")]
    links = [("cartoonset10k/cs-link.png", "/etc/passwd"), ("cartoonset10k/cs-link.csv", "/etc/passwd")]
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    archive = write_archive(inner / "archive.tgz", entries, links)
    loaded = load(archive, inner / "data")
    assert loaded.num_training + loaded.num_validation + loaded.num_test == COUNT
    assert {path.name for path in tmp_path.rglob("cs*")} == set()


def changed(edit):
    entries = members("10k")
    edit(entries)
    return entries


@pytest.mark.parametrize(
    "entries, words",
    [
        ([], "expected csNUMBER.png and csNUMBER.csv files, got none"),
        (changed(lambda entries: entries.pop(0)), r"in pairs, got cs1\d+.png alone"),
        (changed(lambda entries: entries.pop(1)), r"in pairs, got cs1\d+.csv alone"),
        (
            [(name, content.replace(b'"hair"', b'"hat"')) for name, content in members("10k")],
            r'cs1\d+.csv: expected a line such as "hair", 29, 111 .* got \'"hat"',
        ),
        (
            [(name, content.replace(b"111", b"112")) for name, content in members("10k")],
            "expected a line .* of a known attribute, got",
        ),
        (
            [
                (name, content.partition(b"\n")[2] if name.endswith("csv") else content)
                for name, content in members("10k")
            ],
            "expected 18 attributes, got none for chin_length",
        ),
    ],
)
def test_a_wrong_archive_is_one_line(tmp_path, entries, words):
    archive = write_archive(tmp_path / "archive.tgz", entries)
    with pytest.raises(config.UserError, match=words) as error:
        load(archive, tmp_path / "data")
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_archive_or_is_not_there_is_one_line(tmp_path, layouts):
    (tmp_path / "text.tgz").write_text("no archive")
    whole = layouts["10k archive"].read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    for name, words in {
        "text.tgz": "expected a Cartoon Set archive or folder",
        "cut.tgz": "expected a Cartoon Set archive or folder",
        "missing.tgz": "--archive must be cartoonset10k.tgz or its unpacked folder, got .*missing.tgz",
    }.items():
        with pytest.raises(config.UserError, match=words) as error:
            load(tmp_path / name, tmp_path / "data")
        assert "\n" not in str(error.value)


def test_without_a_network_one_line_says_where_to_get_the_archive(tmp_path, monkeypatch):
    def unreachable(*arguments, **others):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(
        config.UserError, match=r"could not be downloaded .*cartoonset10k.tgz .*--archive=FILE"
    ) as error:
        load("", tmp_path)
    assert "\n" not in str(error.value)


def test_a_download_is_read_and_its_checksum_recorded(tmp_path, layouts, monkeypatch):
    """TFDS downloads over HTTP from a server on this machine, and notes size and checksum."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    archive = layouts["10k archive"]
    handler = functools.partial(Quiet, directory=str(archive.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{{name}}.tgz"
        monkeypatch.setattr(cartoonset, "_URL", url)
        try:
            loaded = load("", tmp_path)
        finally:
            server.shutdown()
            thread.join()
    assert loaded.num_training + loaded.num_validation + loaded.num_test == COUNT
    builder = cartoonset.Cartoonset(config="cartoonset10k", data_dir=str(tmp_path))
    assert builder.info.download_size == archive.stat().st_size
    (note,) = tmp_path.rglob("*.INFO")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in note.read_text()
