"""--data=FOLDER: what is found, how it is dealt to the splits, and what becomes of files that are no images."""

import dataclasses
import hashlib
import os

import numpy as np
import pytest
import test_images
from PIL import Image

from tfvae import config, data
from tfvae.data import source, store


def settings(folder, **others):
    return config.DataConfig(
        data=str(folder), image_size=10, image_width=12, batch_size=4, data_dir=str(folder) + "-prepared", **others
    )


def write_pngs(folder, count, start=0):
    """Writes `count` images, each of another colour, into subfolders; returns their relative paths."""
    names = []
    for k in range(start, start + count):
        name = f"{'abc'[k % 3]}/{k:03d}.png"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (k % 256, 255 - k % 256, 7)).save(path)
        names.append(name)
    return names


def all_names(loaded):
    return [name for split in source.SPLITS for name in loaded.names[split]]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A folder of every kind of file that `test_images` makes, broken ones too, and strange names."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (content, _) in test_images.FILES.items():
        (folder / name).write_bytes(content)
    for name, content in test_images.BROKEN.items():
        (folder / name).write_bytes(content)
    (folder / "with space, ünïcode 画像 %d.PNG").write_bytes(test_images.FILES["rgb.png"][0])
    (folder / "notes.txt").write_text("not listed")
    return folder


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_every_decodable_file_arrives_once_and_the_others_are_named(hostile, cache):
    with pytest.warns(UserWarning) as warned:
        loaded = data.load(settings(hostile, cache=cache))
    (warning,) = warned
    assert sorted(all_names(loaded)) == sorted([*test_images.FILES, "with space, ünïcode 画像 %d.PNG"])
    broken = sorted(test_images.BROKEN)
    words = (
        f"{len(broken)} of {len(broken) + len(all_names(loaded))} images cannot be decoded (or exceed --max_pixels): "
    )
    named = f"{', '.join(broken[:10])} and {len(broken) - 10} more"
    assert str(warning.message) == words + named + "; they are left out."
    for split in source.SPLITS:
        for name, found in zip(loaded.names[split], loaded.images(split), strict=True):
            content, tolerance = test_images.FILES.get(name, test_images.FILES["rgb.png"])
            expected = test_images.oracle(test_images.pillow_rgba(content), 10, 12, 3, "crop", (255, 255, 255))
            assert np.abs(found - expected).max() <= tolerance + 1, name


def test_strict_makes_an_undecodable_file_an_error(hostile):
    with pytest.raises(config.UserError, match=r"cannot be decoded .*: 4-bits.bmp, ") as error:
        data.load(settings(hostile, strict=True))
    assert "\n" not in str(error.value)


def test_images_above_max_pixels_are_left_out_and_named(tmp_path):
    write_pngs(tmp_path / "images", 12)
    Image.new("RGB", (11, 11)).save(tmp_path / "images" / "large.png")
    with pytest.warns(UserWarning, match=r"1 of 13 images cannot be decoded \(or exceed --max_pixels\): large.png;"):
        loaded = data.load(settings(tmp_path / "images", max_pixels=120))
    assert len(all_names(loaded)) == 12 and "large.png" not in all_names(loaded)


def test_splits_depend_on_paths_alone_and_more_images_move_none(tmp_path):
    write_pngs(tmp_path / "images", 60)
    before = data.load(settings(tmp_path / "images"))
    assert [len(before.names[split]) for split in source.SPLITS] == [
        before.num_training, before.num_validation, before.num_test]  # fmt: skip
    for split in source.SPLITS:
        assert before.names[split] == sorted(before.names[split]) and before.names[split]
    assert len(set(all_names(before))) == 60
    assert 3 <= before.num_validation <= 13 and 3 <= before.num_test <= 13  # 10 % each, by chance.
    write_pngs(tmp_path / "images", 20, start=60)
    os.utime(tmp_path / "images" / "a" / "000.png")
    after = data.load(settings(tmp_path / "images"))
    for split in source.SPLITS:
        assert set(before.names[split]) <= set(after.names[split])
    more = data.load(settings(tmp_path / "images", holdout=0.3))
    assert more.num_validation > after.num_validation and more.num_test > after.num_test


def test_three_images_are_one_a_split(tmp_path):
    write_pngs(tmp_path / "images", 3)
    loaded = data.load(dataclasses.replace(settings(tmp_path / "images"), batch_size=1))
    assert (loaded.num_training, loaded.num_validation, loaded.num_test) == (1, 1, 1)


def test_the_store_on_disk_is_reused_until_a_file_or_a_setting_changes(tmp_path, monkeypatch):
    write_pngs(tmp_path / "images", 40)
    on_disk = settings(tmp_path / "images", cache="disk")
    first = data.load(on_disk)

    def refuse(*arguments):
        raise AssertionError("decoded again")

    decoded = store._fill
    monkeypatch.setattr(store, "_fill", refuse)
    second = data.load(on_disk)
    np.testing.assert_array_equal(second.images("train"), first.images("train"))
    with pytest.raises(AssertionError, match="decoded again"):
        data.load(dataclasses.replace(on_disk, background="black"))
    monkeypatch.setattr(store, "_fill", decoded)
    name = first.names["train"][0]
    Image.new("RGB", (12, 10), (1, 2, 3)).save(tmp_path / "images" / name)
    third = data.load(on_disk)
    np.testing.assert_array_equal(third.images("train", [0])[0], np.full((10, 12, 3), (1, 2, 3)))
    left = [path.name for path in (tmp_path / "images-prepared" / "tfvae_store").iterdir()]
    assert left and not any("incomplete" in name for name in left)


def test_a_stopped_store_leaves_nothing_that_would_be_believed(tmp_path, monkeypatch):
    write_pngs(tmp_path / "images", 12)

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_fill", stop)
    with pytest.raises(KeyboardInterrupt):
        data.load(settings(tmp_path / "images", cache="disk"))
    assert list((tmp_path / "images-prepared" / "tfvae_store").iterdir()) == []


def broken_folder(tmp_path):
    (tmp_path / "broken").mkdir()
    for k in range(9):
        (tmp_path / "broken" / f"{k}.png").write_bytes(b"no image")
    return tmp_path / "broken"


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    write_pngs(tmp_path / "few", 5)
    cases = {
        tmp_path / "empty": "expected images .* in this folder, got none",
        tmp_path / "missing": "must be .* an existing folder.*missing",
        tmp_path / "few": "at least one batch of 4 training images, got 3",
    }
    for folder, words in cases.items():
        with pytest.raises(config.UserError, match=words) as error:
            data.load(settings(folder))
        assert "\n" not in str(error.value)
    with pytest.warns(UserWarning, match="cannot be decoded"):
        with pytest.raises(config.UserError, match="none that can be decoded"):
            data.load(settings(broken_folder(tmp_path)))
    with pytest.raises(config.UserError, match="--archive needs --data=cartoonset"):
        data.load(settings(tmp_path / "few", archive="x.tgz"))


def test_a_digest_is_that_of_its_parts_with_a_zero_byte_between():
    """What earlier versions wrote, so that what they have kept on disk is found."""
    expected = hashlib.sha256(b"a\x001\x00" + "ü".encode() + b"\x00\x80").hexdigest()[:32]
    assert source.digest(iter(["a", 1, "ü", os.fsdecode(b"\x80")])) == expected
    assert source.digest(["ab"]) != source.digest(["a", "b"])
