"""Value ranges: which values become black and white for each type, and the bytes that come of them."""

import numpy as np
import pytest

from tfvae import config
from tfvae.data import value_range


def chosen(dtype, lowest, highest, **flags):
    (black, white), is_usual = value_range.choose(dtype, lowest, highest, config.DataConfig(**flags))
    return black, white, is_usual


@pytest.mark.parametrize(
    "dtype, lowest, highest, expected",
    [
        ("bool", False, True, (0, 1, True)),
        ("bool", True, True, (0, 1, True)),
        ("uint8", 0, 255, (0, 255, True)),
        ("uint8", 90, 110, (0, 255, True)),  # Dim images are dim.
        ("uint8", 0, 1, (0, 1, False)),  # A mask.
        ("uint8", 0, 3, (0, 3, False)),  # Classes.
        ("uint8", 0, 15, (0, 15, False)),
        ("uint8", 0, 16, (0, 255, True)),
        ("uint8", 0, 0, (0, 1, False)),
        ("int8", -128, 127, (-128, 127, False)),
        ("int64", 0, 255, (0, 255, False)),
        ("int64", 0, 1, (0, 1, False)),
        ("int16", -1000, 3000, (-1000, 3000, False)),  # Hounsfield units.
        ("int32", 7, 7, (0, 7, False)),
        ("int32", 300, 300, (300, 600, False)),
        ("uint16", 0, 65535, (0, 65535, True)),
        ("uint16", 900, 40000, (0, 65535, True)),
        (">u2", 900, 40000, (0, 65535, True)),
        ("uint16", 127, 2191, (127, 2191, False)),  # 12 bits.
        ("uint16", 0, 255, (0, 255, False)),
        ("float16", 0, 1, (0, 1, True)),
        ("float32", 0.2, 0.3, (0, 1, True)),
        ("float64", 0.5, 0.5, (0, 1, True)),
        ("float32", -1, 1, (-1, 1, False)),
        ("float32", -0.2, 1, (-1, 1, False)),
        ("float32", 0, 255, (0, 255, False)),
        ("float32", 0, 1.25, (0, 1.25, False)),  # As a bicubic resize leaves [0, 1].
        ("float32", -0.5, 1.25, (-0.5, 1.25, False)),
        ("float32", 0, 3, (0, 3, False)),
        ("float64", 100.0, 4000.0, (100, 4000, False)),
        ("float64", 1e20, 1e20, (1e20, 2e20, False)),
    ],
)
def test_choose_by_type_and_values(dtype, lowest, highest, expected):
    assert chosen(dtype, lowest, highest) == expected


@pytest.mark.parametrize(
    "flags, expected",
    [
        ({"black": "100"}, (100, 2191)),
        ({"white": "1000"}, (127, 1000)),
        ({"black": "-5.5", "white": "1e3"}, (-5.5, 1000)),
        ({"black": "3000"}, (3000, 6000)),  # Beyond all values: all are black.
        ({"white": "100"}, (0, 100)),  # Below all values: all are white.
    ],
)
def test_choose_takes_black_and_white_first(flags, expected):
    assert chosen("uint16", 127, 2191, **flags) == (*expected, False)


def test_choose_tells_of_black_and_white_for_any_type():
    assert chosen("uint8", 0, 255, black="0", white="255") == (0, 255, False)
    assert chosen("uint8", 0, 255, white="-5") == (-10, -5, False)
    assert chosen("float32", 0, 1, white="0.5") == (0, 0.5, False)
    assert chosen("bool", 0, 1, black="0.5") == (0.5, 1, False)


@pytest.mark.parametrize(
    "dtype, ends, values, expected",
    [
        ("bool", (0, 1), [False, True], [0, 255]),
        ("uint8", (0, 1), [0, 1], [0, 255]),
        ("uint8", (0, 3), [0, 1, 2, 3], [0, 85, 170, 255]),
        ("uint8", (50, 150), [0, 50, 110, 150, 255], [0, 0, 153, 255, 255]),
        ("uint16", (0, 65535), [0, 256, 257, 65534, 65535], [0, 1, 1, 255, 255]),
        (">u2", (0, 65535), [0, 256, 257, 65534, 65535], [0, 1, 1, 255, 255]),
        ("int64", (0, 255), [-4, 0, 7, 255, 999], [0, 0, 7, 255, 255]),
        ("int16", (-1000, 3000), [-1000, 0, 1000, 3000], [0, 64, 128, 255]),
        ("float32", (-1, 1), [-1, -0.6, 0.2, 1], [0, 51, 153, 255]),
        ("float32", (0, 255), [0, 0.4, 0.6, 254.6], [0, 0, 1, 255]),
        ("float16", (0, 1), [0, 0.2, 1], [0, 51, 255]),
        ("float64", (0, 1), [-0.1, 0.6, 1.1], [0, 153, 255]),
        ("float64", (1e20, 2e20), [1e20, 1e20], [0, 0]),
    ],
)
def test_to_uint8_spreads_and_clips(dtype, ends, values, expected):
    found = value_range.ValueRange(*map(float, ends)).to_uint8(np.array(values, dtype))
    assert found.dtype == np.uint8
    assert found.tolist() == expected


def test_to_uint8_keeps_many_levels_of_12_bits():
    values = np.arange(127, 2192, dtype=np.uint16)
    values_range, _ = value_range.choose(values.dtype, 127, 2191, config.DataConfig())
    found = values_range.to_uint8(values)
    assert sorted(set(found.tolist())) == list(range(256))
    assert (np.diff(found.astype(int)) >= 0).all()


def test_to_uint8_keeps_all_levels_of_8_bits_in_each_type():
    levels = np.arange(256)
    for array in (levels.astype(np.uint8), levels.astype(np.int64), levels.astype(np.float32)):
        np.testing.assert_array_equal(value_range.BYTES.to_uint8(array), levels)
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_array_equal(value_range.ValueRange(0.0, 1.0).to_uint8((levels / 255).astype(dtype)), levels)
    np.testing.assert_array_equal(value_range.ValueRange(0.0, 65535.0).to_uint8((levels * 257).astype("u2")), levels)


def test_to_uint8_takes_any_shape_and_layout(monkeypatch):
    values = np.random.default_rng(0).integers(0, 4096, (5, 6, 7, 3)).astype(np.uint16)
    expected = np.rint(values * (255 / 4095)).astype(np.uint8)
    ends = value_range.ValueRange(0.0, 4095.0)
    for block in (2**16, 100):
        monkeypatch.setattr(value_range, "_BLOCK", block)
        np.testing.assert_array_equal(ends.to_uint8(values), expected)
        np.testing.assert_array_equal(ends.to_uint8(np.asfortranarray(values)), expected)
        np.testing.assert_array_equal(ends.to_uint8(values[:, ::2, :, :2]), expected[:, ::2, :, :2])


def test_to_uint8_does_not_copy_bytes():
    values = np.arange(256, dtype=np.uint8)
    assert value_range.BYTES.to_uint8(values) is values
