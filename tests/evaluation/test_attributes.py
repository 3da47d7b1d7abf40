"""Coverage and walks: what is counted, against counts by hand."""

import numpy as np
import pytest

from tfvae.evaluation import coverage, walks

VALUES = {"hair": ("short", "long", "none"), "colour": ("red", "blue")}


def test_shares_leave_hidden_attributes_out():
    attributes = {"hair": np.array([0, 1, 2, 2]), "colour": np.array([0, 1, 1, 0])}
    visible = {"colour": np.array([True, True, False, False])}
    found = coverage.shares(attributes, visible, VALUES)
    assert found["hair"].tolist() == [0.25, 0.25, 0.5] and found["colour"].tolist() == [0.5, 0.5]
    nowhere = coverage.shares(attributes, {"colour": np.zeros(4, bool)}, VALUES)
    assert np.isnan(nowhere["colour"]).all()


def test_samples_of_one_value_have_the_exact_distance():
    data = {"hair": np.repeat([0, 1, 2], [50, 30, 20]), "colour": np.repeat([0, 1], [90, 10])}
    ones = {"hair": np.zeros(40, int), "colour": np.ones(40, int)}
    known, found = (coverage.shares(one, {}, VALUES) for one in (data, ones))
    distances = coverage.distances(found, known)
    assert distances == pytest.approx({"hair": 0.5, "colour": 0.9})
    assert coverage.distances(known, known) == {"hair": 0, "colour": 0}


def test_the_floor_is_what_chance_and_misreading_cause():
    random = np.random.default_rng(0)
    known = {"hair": random.integers(0, 3, 4000), "colour": random.integers(0, 2, 4000)}
    floors = coverage.floor((known, {}), (known, {}), VALUES, 2000, seed=0)
    # E|p - q| / 2 of two shares of 2,000: sqrt(2 / pi) * sqrt(2 p (1 - p) / n), summed over the values.
    expected = {"hair": 1.5 * 0.798 * np.sqrt(2 * (2 / 9) / 2000), "colour": 0.798 * np.sqrt(2 * 0.25 / 2000)}
    assert all(0.5 * expected[name] < floors[name] < 1.7 * expected[name] for name in floors)
    misread = {**known, "colour": np.zeros(4000, int)}
    assert coverage.floor((misread, {}), (known, {}), VALUES, 2000, seed=0)["colour"] == pytest.approx(0.5, abs=0.03)


def test_walks_by_hand():
    hidden = walks.HIDDEN
    frames = {
        "hair": np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1], [0, 2, 1, 1]]),
        # Hidden in an image, hidden in between, a change that only a hidden frame has, hidden throughout.
        "colour": np.array([[0, 1, 0, 1], [0, hidden, 1, 1], [0, hidden, 0, 0], [0, 0, 0, 0], [hidden] * 4]),
    }
    ends = {
        "hair": np.array([[0, 0], [0, 0], [0, 1], [0, 1], [0, 1]]),
        "colour": np.array([[0, hidden], [0, 1], [0, 0], [0, 0], [0, 0]]),
    }
    found = walks.consistency(frames, ends)
    # Hair: stays in one of two, switches once in one of three. Colour: once in one, stays in two of three others.
    assert (found.alike, found.differing) == (5, 4)
    assert found.stays == pytest.approx(3 / 5) and found.switches_once == pytest.approx(2 / 4)
    assert np.isnan(walks.consistency({"hair": np.zeros((1, 3), int)}, {"hair": np.zeros((1, 2), int)}).switches_once)


def test_one_image_throughout_neither_keeps_nor_switches_what_it_has_not():
    ends = {"hair": np.array([[0, 0], [1, 1], [2, 2], [0, 1], [1, 0]])}
    found = walks.consistency({"hair": np.zeros((5, 4), int)}, ends)
    assert found == (pytest.approx(1 / 3), 0, 3, 2)


def test_pairs_are_even_and_half_the_images_apart():
    starts, ends = walks.pairs(1000, 50)
    assert starts.tolist() == list(range(0, 500, 10)) and (ends - starts == 500).all()
    assert [some.tolist() for some in walks.pairs(5, 50)] == [[0, 1], [2, 3]]
    kinds = np.repeat(np.arange(10), 30)  # Sorted, as the digits of a file may be.
    starts, ends = walks.pairs(300, 20)
    assert (kinds[starts] != kinds[ends]).all() and set(kinds[np.concatenate([starts, ends])]) == set(range(10))


def test_a_perfect_walk_changes_one_attribute_after_the_other():
    first, last = np.array([0, 7, 2, 3]), np.array([1, 7, 5, 4])
    perfect = walks.one_after_the_other(first, last, 4)
    assert perfect.tolist() == [[0, 7, 2, 3], [1, 7, 2, 3], [1, 7, 5, 3], [1, 7, 5, 4]]
    names = ("hair", "eyes", "mouth", "clothes")
    frames = {name: perfect[None, :, column] for column, name in enumerate(names)}
    ends = {name: np.array([[first[column], last[column]]]) for column, name in enumerate(names)}
    assert walks.consistency(frames, ends) == (1, 1, 1, 3)
    assert walks.one_after_the_other(first, first, 3).tolist() == 3 * [first.tolist()]


def test_middles_and_cross_fades():
    frames = np.arange(22).reshape(2, 11)
    assert walks.middles(frames)[0].tolist() == [3, 4, 5, 6, 7]
    assert [walks.middles(frames[:, :n]).shape[1] for n in (2, 3, 4, 5)] == [0, 1, 2, 3]
    starts, ends = np.zeros((2, 4, 4, 1)), np.ones((2, 4, 4, 1))
    fades = walks.cross_fade(starts, ends, 5)
    assert fades[1, :, 0, 0, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert walks.largest_step(fades) == 0.25
    jump = np.repeat(fades[:, [0, -1]], 2, axis=1)
    assert walks.largest_step(jump) == 1
    assert walks.largest_step(np.concatenate([jump, 0 * jump])) == 1  # A walk that stays says nothing.
    assert np.isnan(walks.largest_step(0 * fades))
