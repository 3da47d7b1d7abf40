"""--data=FILE.npz and FILE.npy: keys, types, values and labels of the arrays; what is wrong with them in one line."""

import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tfvae import config, data
from tfvae.data import arrays

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 8, 9), dtype=np.uint8)
RGB = RANDOM.integers(0, 256, (40, 8, 9, 3), dtype=np.uint8)


def load(path, **others):
    settings = {"image_size": 8, "image_width": 9, "batch_size": 4, **others}
    return data.load(config.DataConfig(data=str(path), data_dir=str(path) + "-prepared", **settings))


def find(path, **settings):
    return arrays.find(config.DataConfig(data=str(path), **settings), pathlib.Path(path))


def saved(folder, **found):
    np.savez(folder / "a.npz", **found)
    return folder / "a.npz"


def images_of(source, split=None):
    """Returns the images of a source, or of one of its official splits, as a list, with their order checked."""
    numbers, images = zip(*source.stream(), strict=True)
    assert numbers == tuple(range(source.count))
    assert all(image.dtype == np.uint8 and image.ndim == 3 for image in images)
    return list(images) if split is None else [images[number] for number in source.official[split]]


def labels_of(source, split=None):
    """Returns {attribute: its value for each image, as text}."""
    labels = source.labels(np.arange(source.count) if split is None else source.official[split])
    assert labels.attributes.keys() == labels.values.keys()
    return {name: [labels.values[name][index] for index in column] for name, column in labels.attributes.items()}


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


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "x_val", "x_test"),
        ("X_train", "X_valid", "X_test"),
        ("train", "valid", "test"),
        ("TRAINING", "Dev", "Testing"),
        ("train_images", "validation_images", "test_images"),
        ("images_train", "images_val", "images_test"),
        ("train_x", "dev_x", "test_x"),
        ("x", "x_val", "x_test"),
        ("pictures", "x_val", "x_test"),
    ],
)
def test_find_takes_splits_by_their_names(tmp_path, keys):
    expected = {"test": RGB[28:], "validation": RGB[20:28], "train": RGB[:20]}
    source = find(saved(tmp_path, **dict(zip(reversed(keys), expected.values(), strict=True))))
    assert source.official.keys() == expected.keys()
    for split, images in expected.items():
        np.testing.assert_array_equal(images_of(source, split), images)
    assert (source.count, source.channels, source.left_out, source.found) == (40, 3, (), ())


@pytest.mark.parametrize("key", ["images", "imgs", "Image", "x", "X", "data", "arr_0", "x_train", "anything"])
def test_find_deals_one_array(tmp_path, key):
    source = find(saved(tmp_path, **{key: GREY, "features": np.zeros((40, 7))}))
    np.testing.assert_array_equal(images_of(source), GREY[..., np.newaxis])
    assert (source.channels, source.official, source.names) == (1, {}, None)
    assert source.left_out == ("arrays that are not used: features (numbers, no classes)",)


def test_find_prefers_images_by_name_and_names_the_rest(tmp_path):
    source = find(saved(tmp_path, masks=GREY, images=RGB, weird=np.zeros((2, 3, 4, 5)), X=RGB[:4]))
    np.testing.assert_array_equal(images_of(source), RGB)
    assert source.left_out == ("arrays that are not used: X, masks, weird",)


def test_find_fetches_what_it_streams_and_splits_may_differ_in_size(tmp_path):
    parts = {"train": RGB[:20], "val": RGB[20:25, :5], "test": RGB[25:, :, :4]}
    source = find(saved(tmp_path, **parts))
    streamed = images_of(source)
    assert [image.shape for image in streamed] == [(8, 9, 3)] * 20 + [(5, 9, 3)] * 5 + [(8, 4, 3)] * 15
    for index, image in enumerate(streamed):
        np.testing.assert_array_equal(source.fetch(index), image)
    np.testing.assert_array_equal(source.fetch(25), RGB[25, :, :4])
    assert source.official["test"].tolist() == list(range(25, 40))


def test_find_reads_arrays_in_any_layout(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(RGB))
    np.testing.assert_array_equal(images_of(find(tmp_path / "a.npy")), RGB)
    np.save(tmp_path / "b.npy", np.asfortranarray(RGB.astype(np.uint16) * 257))
    np.testing.assert_array_equal(images_of(find(tmp_path / "b.npy")), RGB)


def test_find_spreads_12_bits_and_says_so(tmp_path):
    values = RANDOM.integers(127, 2192, (20, 8, 8)).astype(np.uint16)
    values[3, 2, 1], values[15, 0, 0] = 127, 2191
    expected = np.rint((values - 127.0) * 255 / 2064).astype(np.uint8)[..., np.newaxis]
    for path in (saved(tmp_path, images=values), saved(tmp_path, train=values[:9], test=values[9:])):
        source = find(path)
        np.testing.assert_array_equal(images_of(source), expected)
        assert source.found == (
            "values from 127 to 2,191 (uint16): 127 becomes black, 2191 white; --black and --white say otherwise",
        )
    assert len(np.unique(expected)) > 200


def test_find_takes_black_and_white_first(tmp_path):
    path = saved(tmp_path, images=np.tile(np.uint16([[100, 180], [300, 4000]]), (4, 1, 1)))
    np.testing.assert_array_equal(find(path, black="100", white="300").fetch(2)[..., 0], [[0, 102], [255, 255]])
    np.testing.assert_array_equal(find(path, white="300").fetch(0)[..., 0], [[0, 102], [255, 255]])
    source = find(path, black="200", white="711.5")
    np.testing.assert_array_equal(source.fetch(0)[..., 0], [[0, 0], [50, 255]])
    assert source.found == (
        "values from 100 to 4,000 (uint16): 200 becomes black, 711.5 white; as --black and --white say",
    )
    keys = {find(path, **flags).identity for flags in ({}, {"white": "300"}, {"black": "300"}, {"holdout": 0.2})}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "values, expected, found",
    [
        (np.uint8([0, 1]), [0, 255], "values from 0 to 1 (uint8): 0 becomes black, 1 white"),
        (np.int64([0, 1, 2, 3]), [0, 85, 170, 255], "values from 0 to 3 (int64): 0 becomes black, 3 white"),
        (np.float32([-1, -0.6, 1]), [0, 51, 255], "values from -1 to 1 (float32): -1 becomes black, 1 white"),
        (np.float64([0, 7.4, 254.6]), [0, 7, 255], "values from 0 to 254.6 (float64): 0 becomes black, 255 white"),
        (np.int16([-1000, 600, 3000]), [0, 102, 255], "values from -1,000 to 3,000 (int16): -1000 becomes black"),
        (np.array([0, 1.25]), [0, 255], "values from 0 to 1.25 (float64): 0 becomes black, 1.25 white"),
        (np.float32([0.5, 0.5]), [128, 128], None),
        (np.int64([7, 200]), [7, 200], "values from 7 to 200 (int64): 0 becomes black, 255 white"),
    ],
)
def test_find_by_values(tmp_path, values, expected, found):
    np.save(tmp_path / "a.npy", np.broadcast_to(values, (6, 4, len(values))))
    source = find(tmp_path / "a.npy")
    for image in images_of(source):
        np.testing.assert_array_equal(image[..., 0], [expected] * 4)
    assert len(source.found) == (found is not None)
    assert found is None or source.found[0].startswith(found)


@pytest.mark.parametrize(
    "make, opaque", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1), (np.float64, 255), (np.int64, 255)]
)
def test_find_spreads_alpha_by_its_own_scale(tmp_path, make, opaque):
    pixels = np.zeros((4, 2, 2, 4), make)
    pixels[..., :3] = np.array([0.25, 0.5]).astype(make)[:, None] if opaque == 1 else np.array([20, 90], make)[:, None]
    pixels[..., 3] = np.array([[0, opaque], [opaque * 0.2, opaque]]).astype(make)
    source = find(saved(tmp_path, images=pixels), black="0", white="0.5" if opaque == 1 else "90")
    image = source.fetch(1)
    assert source.channels == 3 and image.shape == (2, 2, 4)
    np.testing.assert_array_equal(image[..., 3], [[0, 255], [51, 255]])
    np.testing.assert_array_equal(image[0, :, 0], [128 if opaque == 1 else 57, 255])


def test_find_looks_at_colours_only_not_at_alpha(tmp_path):
    pixels = np.concatenate([RGB % 2, np.full_like(RGB[..., :1], 255)], axis=-1)
    source = find(saved(tmp_path, images=pixels))
    np.testing.assert_array_equal(images_of(source), np.concatenate([RGB % 2 * 255, pixels[..., 3:]], axis=-1))


def test_find_does_not_copy_bytes(tmp_path, monkeypatch):
    read = {}
    monkeypatch.setattr(np, "load", lambda file, allow_pickle: read["array"])
    for array in (RGB, np.concatenate([RGB, RGB[..., :1]], axis=-1)):
        read["array"] = array
        (tmp_path / "a.npy").write_bytes(b"")
        assert np.shares_memory(find(tmp_path / "a.npy").fetch(3), array)


def test_find_gives_integers_and_floats_a_range_each(tmp_path):
    source = find(saved(tmp_path, x_train=GREY[:20], x_test=GREY[20:] / np.float32(255)))
    np.testing.assert_array_equal(images_of(source), GREY[..., np.newaxis])


def test_find_looks_at_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_BLOCK", 200)
    values = GREY.astype(np.uint16) + 500
    values[-1, -1, -1] = 3000
    expected = np.rint((values - values.min()) * (255 / (3000 - values.min()))).astype(np.uint8)
    np.testing.assert_array_equal(images_of(find(saved(tmp_path, images=values))), expected[..., np.newaxis])
    wrong = np.full((40, 8, 9, 4), 0.5, np.float16)
    wrong[33, 1, 2, 3] = np.inf
    with pytest.raises(config.UserError, match="a.npz:x_val: expected finite numbers, got inf in image 33"):
        find(saved(tmp_path, x_train=wrong[:9], x_val=wrong))


def test_find_takes_labels_of_each_kind(tmp_path):
    digits = np.arange(40) % 10
    words = np.array(["cat", "dög"])[digits % 2]
    table = np.stack([digits % 2, digits * 0, digits // 3], axis=1)
    found = labels_of(
        find(
            saved(
                tmp_path, images=GREY, labels=digits[:, np.newaxis].astype(np.uint8) + 3, species=words,
                encoded=np.char.encode(words, "utf-8"), round=digits > 4, one_hot=np.eye(10, dtype=np.float32)[digits],
                table=table.astype(">i2"),
            )
        )
    )  # fmt: skip
    assert found == {
        "class": [str(digit + 3) for digit in digits],
        "species": words.tolist(),
        "encoded": words.tolist(),
        "round": [str(digit > 4) for digit in digits.tolist()],
        "one_hot": [str(digit) for digit in digits],
        "table_0": [str(digit % 2) for digit in digits],
        "table_2": [str(digit // 3) for digit in digits],
    }


def test_find_orders_values_as_numbers_and_takes_rows_in_any_order(tmp_path):
    numbers = np.array([10, 9, -2, 9] * 10)
    source = find(saved(tmp_path, images=GREY, y=numbers))
    labels = source.labels(np.array([2, 0, 0]))
    assert labels.values == {"class": ("-2", "9", "10")}
    assert labels.attributes["class"].dtype == np.int64
    assert labels.attributes["class"].tolist() == [0, 2, 2]


@pytest.mark.parametrize(
    "key", ["y", "Y", "label", "labels", "target", "targets", "classes", "y_train", "train_labels"]
)
def test_find_calls_labels_class(tmp_path, key):
    for name in ("images", "x_train"):
        source = find(saved(tmp_path, **{name: GREY, key: np.arange(40) % 4}))
        assert labels_of(source) == {"class": [str(number % 4) for number in range(40)]}
        assert source.left_out == ()


def test_find_matches_labels_by_split(tmp_path):
    numbers, halves = np.arange(40) % 5, np.arange(40) % 2
    source = find(
        saved(
            tmp_path, x_train=GREY[:25], x_test=GREY[25:], only_train=halves[:25], short_train=halves[:24],
            y_train=numbers[:25, np.newaxis].astype("u8"), y_test=numbers[25:], short_test=halves[25:],
            train_half=halves[:25], test_half=halves[25:],
        )
    )  # fmt: skip
    assert labels_of(source, "test") == {"class": [str(n) for n in numbers[25:]], "half": [str(n) for n in halves[25:]]}
    assert labels_of(source, "train")["class"] == [str(number) for number in numbers[:25]]
    assert source.left_out == (
        "arrays that are not used: only_train (none for test), short_test (none for train), short_train",
    )


def test_labels_of_another_length_are_told(tmp_path):
    source = find(saved(tmp_path, x_train=GREY, y_train=np.arange(39) % 2))
    assert source.left_out == ("arrays that are not used: y_train (39 values for 40 images)",)


def test_find_counts_values_over_all_splits(tmp_path):
    source = find(saved(tmp_path, x_train=GREY[:30], x_test=GREY[30:], y_train=[1] * 30, y_test=[7] * 10))
    assert source.labels(np.arange(40)).values == {"class": ("1", "7")}


@pytest.mark.parametrize(
    "column, why",
    [
        (np.arange(40) % 21, "21 values"),
        (np.zeros(40, int), "one value"),
        (np.zeros(40) + np.arange(40) % 2, "numbers, no classes"),
        (np.zeros((40, 101), int), "101 columns"),
        (np.zeros((40, 1001), int), None),
        (np.zeros((40, 2, 2), int), None),
        (np.arange(39) % 2, None),
        (np.zeros(40, complex), None),
    ],
)
def test_find_names_what_is_no_attribute(tmp_path, column, why):
    source = find(saved(tmp_path, images=RGB, other=column))
    assert labels_of(source) == {}
    assert source.left_out == ("arrays that are not used: other" + f" ({why})" * bool(why),)


def test_find_takes_at_most_1000_values(tmp_path):
    images = np.zeros((2004, 1, 1), np.uint8)
    found = find(saved(tmp_path, images=images, most=np.arange(2004) % 1000, more=np.arange(2004) % 1001))
    assert list(labels_of(found)) == ["most"]
    assert found.left_out == ("arrays that are not used: more (1,001 values)",)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_find_takes_dsprites(tmp_path):
    classes = np.stack(np.unravel_index(np.arange(0, 737280, 1999), (1, 3, 6, 40, 32, 32)), axis=1)
    images = RANDOM.integers(0, 2, (len(classes), 64, 64), dtype=np.uint8)
    metadata = np.array({"latents_names": ("color", "shape"), "bomb": Bomb(str(tmp_path / "owned"))}, object)
    source = find(
        saved(
            tmp_path, metadata=metadata, imgs=images, latents_classes=classes, latents_values=classes / 7,
            latents_names=np.array(["color", "shape", "scale", "orientation", "posX", "posY"], "S"),
        )
    )  # fmt: skip
    assert not (tmp_path / "owned").exists()
    np.testing.assert_array_equal(images_of(source), images[..., np.newaxis] * 255)
    labels = labels_of(source)
    assert list(labels) == [f"latents_classes_{number}" for number in range(1, 6)]
    for number in range(1, 6):
        assert labels[f"latents_classes_{number}"] == [str(one) for one in classes[:, number]]
    assert source.found == ("values from 0 to 1 (uint8): 0 becomes black, 1 white; --black and --white say otherwise",)
    assert source.left_out == (
        "arrays that need pickle, which is never opened: metadata",
        "arrays that are not used: latents_classes_0 (one value), latents_names, latents_values (numbers, no classes)",
    )


def test_load_gives_labels_and_spread_values(tmp_path):
    numbers = np.arange(40) % 4
    images = np.zeros((40, 8, 9), np.uint16)
    images[...] = (numbers * 1000)[:, np.newaxis, np.newaxis]
    images[:, 0, 0] = np.arange(40)  # No copies, which would have to stay together.
    loaded = load(saved(tmp_path, images=images, labels=numbers))
    assert loaded.attribute_values == {"class": ("0", "1", "2", "3")}
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(loaded.images(split)[:, 1, 1, 0], 85 * loaded.attributes[split]["class"])


def with_nan():
    images = np.full((9, 8, 9), 0.5)
    images[3, 1, 1] = np.nan
    return images


@pytest.mark.parametrize(
    "found, words",
    [
        ({"images": with_nan()}, "a.npz:images: expected finite numbers, got nan in image 3"),
        ({"images": np.zeros((9, 8, 9), complex)}, "a.npz:images: expected numbers, got complex"),
        ({"images": np.zeros((9, 8, 9), "U3")}, "a.npz:images: expected numbers, got <U3"),
        ({"x_train": np.zeros((9, 8, 3))}, r"expected images \[N, H, W\] .* got shape \[9, 8, 3\]"),
        ({"x_train": np.zeros((9, 8))}, r"expected images \[N, H, W\] .* got shape \[9, 8\]"),
        ({"images": np.zeros((9, 3, 8, 8))}, r"expected images \[N, H, W\] .* got shape \[9, 3, 8, 8\]"),
        ({"labels": np.zeros(9)}, "expected an array of images named x_train.* got labels"),
        ({"x_test": GREY}, "expected an array of images named x_train.* got x_test"),
        ({"a": GREY, "b": GREY}, "expected an array of images named x_train.* got a, b"),
        ({"images": GREY[:0]}, "expected images"),
        ({"images": np.array([{"a": 1}], dtype=object)}, "expected an array of images .* images would need pickle"),
        ({}, "expected an array of images"),
    ],
)
def test_mistakes_are_one_line(tmp_path, found, words):
    with pytest.raises(config.UserError, match=words) as error:
        load(saved(tmp_path, **found))
    assert "\n" not in str(error.value)


def test_an_array_file_of_objects_is_refused_unread(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Bomb(str(tmp_path / "owned"))] * 9, object), allow_pickle=True)
    with pytest.raises(config.UserError, match="a.npy: expected arrays of numbers, got none that NumPy reads without"):
        find(tmp_path / "a.npy")
    assert not (tmp_path / "owned").exists()


def test_find_needs_no_tensorflow(tmp_path):
    path = saved(tmp_path, images=GREY)
    code = (
        "import pathlib, sys; from tfvae import config; from tfvae.data import arrays\n"
        f"path = {str(path)!r}\n"
        "assert arrays.find(config.DataConfig(data=path), pathlib.Path(path)).count == 40\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
