"""--data=FILE.npz and FILE.npy: keys, types and shapes of the arrays, and what is wrong with them in one line."""

import zipfile

import numpy as np
import pytest

from tfvae import config, data

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 8, 9), dtype=np.uint8)
RGB = RANDOM.integers(0, 256, (40, 8, 9, 3), dtype=np.uint8)


def load(path, **others):
    settings = {"image_size": 8, "image_width": 9, "batch_size": 4, **others}
    return data.load(config.DataConfig(data=str(path), data_dir=str(path) + "-prepared", **settings))


def multiset(images):
    return sorted(image.tobytes() for image in images)


def everything(loaded):
    return np.concatenate([loaded.images(split) for split in ("train", "validation", "test")])


@pytest.mark.parametrize("dtype", ["uint8", "bool", "uint16", "int64", "float16", "float32", "float64"])
def test_pixels_of_each_type(tmp_path, dtype):
    made = {"bool": GREY > 99, "uint16": GREY.astype(np.uint16) * 257, "int64": GREY.astype(np.int64)}
    array = made.get(dtype, GREY if dtype == "uint8" else (GREY / 255).astype(dtype))
    expected = (GREY > 99) * np.uint8(255) if dtype == "bool" else GREY
    np.save(tmp_path / "a.npy", array)
    assert multiset(everything(load(tmp_path / "a.npy"))) == multiset(expected[..., np.newaxis])


@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("shape", ["[N,H,W]", "[N,H,W,1]", "[N,H,W,3]", "[N,H,W,4]"])
def test_channels_are_those_of_the_data_unless_said(tmp_path, shape, channels):
    alpha = RANDOM.integers(0, 2, (40, 8, 9, 1), dtype=np.uint8) * 255
    arrays = {"[N,H,W]": GREY, "[N,H,W,1]": GREY[..., np.newaxis], "[N,H,W,3]": RGB}
    array = arrays.get(shape, np.concatenate([RGB, alpha], axis=-1))
    np.savez(tmp_path / "a.npz", array)
    loaded = load(tmp_path / "a.npz", channels=channels, background="#0a141e")
    is_grey = array.ndim == 3 or array.shape[-1] == 1
    rgb = np.repeat(GREY[..., np.newaxis], 3, axis=-1) if is_grey else RGB
    if shape == "[N,H,W,4]":
        rgb = np.where(alpha > 0, rgb, np.array([10, 20, 30], np.uint8))
    luma = np.round(rgb @ [0.299, 0.587, 0.114])[..., np.newaxis].astype(np.uint8)
    expected = luma if channels == 1 or (channels == 0 and is_grey) else rgb
    assert loaded.image_shape == (8, 9, expected.shape[-1])
    found = everything(loaded).astype(int).reshape(40, -1)
    order = [np.abs(expected.reshape(40, -1).astype(int) - image).max(axis=1).argmin() for image in found]
    assert sorted(order) == list(range(40))
    assert np.abs(expected.reshape(40, -1)[order].astype(int) - found).max() <= 1


@pytest.mark.parametrize("keys", [("x_train", "x_test"), ("train", "test")])
def test_official_splits_stay(tmp_path, keys):
    labels = np.arange(30)
    np.savez(tmp_path / "a.npz", **{keys[0]: RGB[:30], keys[1]: RGB[30:], "y_train": labels})
    loaded = load(tmp_path / "a.npz", holdout=0.2)
    np.testing.assert_array_equal(loaded.images("test"), RGB[30:])
    training = np.concatenate([loaded.images("train"), loaded.images("validation")])
    assert multiset(training) == multiset(RGB[:30])
    assert loaded.num_validation >= 1 and loaded.num_training > loaded.num_validation


def test_three_official_splits_stay_as_they_are(tmp_path):
    np.savez(tmp_path / "a.npz", train=RGB[:20], validation=RGB[20:28], test=RGB[28:])
    loaded = load(tmp_path / "a.npz")
    for split, expected in (("train", RGB[:20]), ("validation", RGB[20:28]), ("test", RGB[28:])):
        np.testing.assert_array_equal(loaded.images(split), expected)


def with_nan():
    images = np.full((9, 8, 9), 0.5)
    images[3, 1, 1] = np.nan
    return images


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"images": with_nan()}, "a.npz:images: expected floats from 0 to 1, got nan in image 3"),
        ({"images": np.full((9, 8, 9), 1.5)}, "expected floats from 0 to 1, got 1.5 in image 0"),
        ({"images": np.full((9, 8, 9), -1)}, "expected integers from 0 to 255, got -1 in image 0"),
        ({"images": np.zeros((9, 8, 9), complex)}, "expected numbers, got complex"),
        ({"x_train": np.zeros((9, 8))}, r"expected images \[N, H, W\] .* got shape \[9, 8\]"),
        ({"labels": np.zeros(9)}, "expected an array of images named x_train.* got labels"),
        ({"a": GREY, "b": GREY}, "expected an array of images named x_train.* got a, b"),
        ({"images": GREY[:0]}, "expected images"),
        ({"images": np.array([{"a": 1}], dtype=object)}, "expected arrays of numbers"),
        ({}, "expected an array of images"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(config.UserError, match=words) as error:
        load(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_a_file_that_is_no_array_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 or not")
    with pytest.raises(config.UserError, match="expected arrays of numbers") as error:
        load(tmp_path / name)
    assert "\n" not in str(error.value)


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def test_archives_of_something_else_are_one_line(tmp_path):
    np.save(tmp_path / "images.npy", GREY)
    content = (tmp_path / "images.npy").read_bytes()
    archive(tmp_path / "pictures.npz", {"1.png": b"\x89PNG", "images": b"no array"})
    archive(tmp_path / "encrypted.npz", {"images.npy": content})
    damaged = bytearray((tmp_path / "encrypted.npz").read_bytes())
    for start in (damaged.index(b"PK\x01\x02") + 8, 6):
        damaged[start] |= 1
    (tmp_path / "encrypted.npz").write_bytes(damaged)
    archive(tmp_path / "newer.npz", {"images.npy": content})
    damaged = bytearray((tmp_path / "newer.npz").read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 6] = 109
    (tmp_path / "newer.npz").write_bytes(damaged)
    for name, words in {"pictures": "got none", "encrypted": "is encrypted", "newer": "zip file version 10.9"}.items():
        with pytest.raises(config.UserError, match=f"{name}.npz: expected .*{words}") as error:
            load(tmp_path / f"{name}.npz")
        assert "\n" not in str(error.value)


def test_splits_of_other_channels_are_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros((9, 8, 8, 3), np.uint8), x_test=np.zeros((9, 8, 8), np.uint8))
    with pytest.raises(config.UserError, match="a.npz: expected splits with the same number of channels, got .*test"):
        load(tmp_path / "a.npz")


def test_a_header_that_claims_too_much_names_its_file(tmp_path):
    with open(tmp_path / "a.npy", "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (99_999_999_999, 64, 64)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(1000))
    with pytest.raises(config.UserError, match="a.npy: "):
        load(tmp_path / "a.npy")


def test_both_orders_of_bytes_are_the_same_images(tmp_path):
    images = np.arange(9 * 64, dtype=np.uint16).reshape(9, 8, 8) * 100
    for order in "<>":
        np.save(tmp_path / f"{ord(order)}.npy", images.astype(f"{order}u2"))
    one, other = (load(tmp_path / f"{ord(order)}.npy").images("train") for order in "<>")
    np.testing.assert_array_equal(one, other)
    assert one.max() > 100


def test_a_data_dir_that_is_a_file_is_one_line(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    with pytest.raises(config.UserError, match="--data_dir must be a folder, but .*a.npy is a file"):
        data.load(config.DataConfig(data="avatars", data_dir=str(tmp_path / "a.npy")))
