"""Which image goes to which split: official splits stay, and what is missing is dealt by rank of hash."""

import hashlib

import numpy as np

from tfvae.data.source import SPLITS


def _hashes(names):
    """Returns a number for each name that depends on nothing else, [N] uint64."""
    found = (hashlib.sha256(str(name).encode("utf-8", "surrogateescape")).digest()[:8] for name in names)
    return np.fromiter((int.from_bytes(one, "big") for one in found), np.uint64, len(names))


def share(count, holdout):
    """Returns how many of `count` images one held-out split gets: `holdout`, at least 2 where there are 10 or more."""
    least = 2 if count >= 10 else 1 if count >= 3 else 0
    return max(least, round(count * holdout))


def deal(names, digests, missing, holdout):
    """Deals images to the splits that are missing; copies of a picture stay together.

    By the rank of each picture's hash: validation gets the lowest, the test the highest. So the shares are exact, an
    image's split depends on the names alone, and one more image moves at most one other over each border, never from
    validation to the test or back.

    Args:
        names: [N] a name of each image.
        digests: [N] uint64, equal where images are.
        missing: "validation", "test", both or none.
        holdout: Share of each split that is missing.

    Returns:
        {split: sorted indices [n]} of "train" and the missing splits. Where copies are so many that a split would stay
        empty, they do not stay together.
    """
    hashes = _hashes(names)
    # A picture is as its copy of the lowest hash.
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    lowest = np.full(len(first), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest, group, hashes)
    sizes = np.bincount(group, minlength=len(first))
    order = np.lexsort((first, lowest))
    quota = share(len(names), holdout)
    split_of = np.full(len(first), SPLITS.index("train"))
    for split, pictures in (("validation", order), ("test", order[::-1])):
        room = quota if split in missing else 0
        for picture in pictures:
            if not room:
                break
            if sizes[picture] <= room and split_of[picture] == SPLITS.index("train"):
                split_of[picture] = SPLITS.index(split)
                room -= sizes[picture]
    found = {split: np.flatnonzero(split_of[group] == SPLITS.index(split)) for split in ("train", *missing)}
    if quota and len(first) < len(names) and not all(len(indices) for indices in found.values()):
        return deal(names, np.arange(len(names), dtype=np.uint64), missing, holdout)
    return found


def without_copies(official, digests):
    """Takes out of "train" what official held-out splits have too: numbers are measured on images not trained on.

    Args:
        official: {split: indices [n]}.
        digests: [N] uint64, equal where images are.

    Returns:
        ({split: indices [n]}, how many images of "train" were taken out). None are where none would be left.
    """
    held_out = [digests[official[split]] for split in official if split != "train"]
    if not held_out or "train" not in official:
        return official, 0
    is_copy = np.isin(digests[official["train"]], np.concatenate(held_out))
    if is_copy.all():
        return official, 0
    return official | {"train": official["train"][~is_copy]}, int(is_copy.sum())
