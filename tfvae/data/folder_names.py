"""What the names of folders say: which are splits, what lies in one folder alone, and what may be meant otherwise."""

import os
import re

from tfvae.data import source as sources

_MASKS = r"masks?|labels?|annotations?|ground_?truth|gt|segmentations?"  # What lies beside images of other data sets.


def first(name):
    """Returns the first folder of a path, '' where there is none."""
    return name.partition("/")[0] if "/" in name else ""


def split_of(folder):
    """Returns the split that a folder's name says, such as train, Training_set or val2017; None where it says none."""
    stem = re.sub(r"([-_ ]?(set|data|images|imgs|split|(19|20)\d\d))+$", "", folder.lower())
    return next((split for split, words in sources.SPLIT_NAMES.items() if stem in words), None)


def split_folders(names):
    """Returns {split: name of its folder} of the official splits at the top.

    A lone "train" beside several other folders is a class, as of vehicles, unless they go with it by name.
    """
    tops = sorted({first(name) for name in names} - {""})
    found = {}
    for split, words in sources.SPLIT_NAMES.items():
        exact = [top for word in words for top in tops if top.lower() == word]
        of_split = exact + [top for top in tops if split_of(top) == split]
        if of_split:
            found[split] = of_split[0]
    others = [top for top in tops if not top.lower().startswith("train")]
    return {} if list(found) == ["train"] and len(others) > 1 else found


def single_top(names):
    """Returns the one folder that everything is in, with its '/', such as an archive unpacks to; else ''."""
    top = ""
    while True:
        tops = {first(name[len(top) :]) for name in names}
        if len(tops) != 1 or tops == {""} or split_folders([name[len(top) :] for name in names]):
            return top
        top += tops.pop() + "/"


def doubts(names):
    """Returns lines where folders or files are called as if they were more than images: splits, or masks of others."""
    lines = []
    inner = {"/".join(name.split("/")[:2]) for name in names if name.count("/") > 1 and split_of(name.split("/")[1])}
    tops = {first(name) for name in names}
    inner |= {top for top in tops if not split_of(top) and any(map(split_of, re.split(r"[-_. ]", top)))}
    if inner and not split_folders(names):
        lines.append(
            f"no splits, for train, val and test are no folders of their own outermost: {sources.named(inner)}"
        )
    masks = {f"{top}/" for top in tops if re.fullmatch(_MASKS, top.lower())}
    stems = {os.path.splitext(name)[0] for name in names}
    masks |= {name for name in names if re.sub(rf"[-_.]({_MASKS})$", "", os.path.splitext(name)[0].lower())
              in stems - {os.path.splitext(name)[0]}}  # fmt: skip
    if masks:
        lines.append(f"taken as images, whatever they are called: {sources.named(masks)}")
    return lines
