"""How images are dealt: exact shares, by names alone, copies together."""

import numpy as np
import pytest

from tfvae.data import splits

BOTH = ["validation", "test"]


def different(count):
    return np.arange(count, dtype=np.uint64)


def names(count):
    return [f"image {number}" for number in range(count)]


@pytest.mark.parametrize("count", [3, 4, 9, 10, 11, 60, 99, 1234])
@pytest.mark.parametrize("holdout", [0.01, 0.1, 0.15, 0.3])
def test_deal_gives_exact_shares(count, holdout):
    found = splits.deal(names(count), different(count), BOTH, holdout)
    least = 2 if count >= 10 else 1
    expected = max(least, round(count * holdout))
    assert [len(found[split]) for split in BOTH] == [expected, expected]
    assert sorted(np.concatenate(list(found.values()))) == list(range(count))
    assert all((np.diff(indices) > 0).all() for indices in found.values())


@pytest.mark.parametrize("missing", [["validation"], ["test"]])
def test_deal_gives_only_what_is_missing(missing):
    found = splits.deal(names(50), different(50), missing, 0.1)
    assert set(found) == {"train", *missing}
    assert len(found[missing[0]]) == 5 and len(found["train"]) == 45


def test_deal_depends_on_names_and_not_on_their_order():
    order = np.random.default_rng(0).permutation(40)
    found = splits.deal(names(40), different(40), BOTH, 0.2)
    shuffled = splits.deal([names(40)[k] for k in order], different(40), BOTH, 0.2)
    for split, indices in found.items():
        assert set(indices) == {order[k] for k in shuffled[split]}


def test_deal_moves_few_images_when_some_are_added_and_none_between_held_out_splits():
    before, after = (splits.deal(names(count), different(count), BOTH, 0.1) for count in (1000, 1010))
    moved = 0
    for split, indices in before.items():
        stayed = np.isin(indices, after[split])
        moved += (~stayed).sum()
        if split != "train":
            other = "test" if split == "validation" else "validation"
            assert not np.isin(indices, after[other]).any()
    # Ten more images move at most ten others over each of the two borders.
    assert moved <= 20


def test_deal_keeps_copies_together():
    digests = different(100)
    digests[50:80] = digests[:30]
    found = splits.deal(names(100), digests, BOTH, 0.2)
    sides = [set(digests[indices]) for indices in found.values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert len(found["validation"]) == len(found["test"]) == 20


@pytest.mark.parametrize("count", [3, 12, 40])
def test_deal_of_images_that_are_all_alike_still_fills_each_split(count):
    found = splits.deal(names(count), np.zeros(count, np.uint64), BOTH, 0.1)
    assert all(len(indices) for indices in found.values())


def test_without_copies_takes_them_out_of_training_alone():
    official = {"train": np.array([0, 1, 2, 3]), "validation": np.array([4]), "test": np.array([5, 6])}
    digests = np.array([10, 11, 12, 13, 11, 12, 14], np.uint64)
    found, copies = splits.without_copies(official, digests)
    assert copies == 2 and found["train"].tolist() == [0, 3]
    assert found["validation"] is official["validation"] and found["test"] is official["test"]


def test_without_copies_leaves_training_images_where_all_are_copies():
    official = {"train": np.array([0, 1]), "test": np.array([2])}
    found, copies = splits.without_copies(official, np.zeros(3, np.uint64))
    assert copies == 0 and found["train"].tolist() == [0, 1]
