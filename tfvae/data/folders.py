"""--data=FOLDER: every image below it, whatever its format; sub-folders are splits or classes.

What is left out is counted and named: hidden folders, what this program wrote, files that are no images.
"""

import collections
import functools
import os
import re
import stat

import numpy as np

from tfvae import config
from tfvae.data import decode, folder_names
from tfvae.data import source as sources

# Folders that other programs keep for themselves, beside those whose names begin with a dot.
_HIDDEN = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
# A folder that has all files of a row is this program's: a run, an export's version, an evaluation, prepared data.
_OWN_MARKS = (
    ("flags.cfg", "lock"),
    ("flags.cfg", "checkpoints"),
    ("saved_model.pb", "assets.extra"),
    ("evaluation.json", "report.html"),
    ("facts.npz", "images.npy"),
    ("dataset_info.json", "features.json"),
)
_LABEL = "class"


class Listing:
    """The files below a folder.

    Attributes:
        names: Paths of files below the folder, sorted, with '/'.
        links: Those of them that are links.
        hidden, own, unread, doubled: Folders and files that were left out: hidden, this program's, unreadable, and
            links to what is there already.
    """

    def __init__(self, folder):
        self._folder, self._seen, self.links = folder, set(), set()
        self.names, self.hidden, self.own, self.unread, self.doubled = [], [], [], [], []
        self._walk("")
        self.names.sort()

    def _walk(self, below):
        try:
            found = sorted(os.scandir(os.path.join(self._folder, below)), key=lambda entry: entry.name)
            place = os.stat(os.path.join(self._folder, below))
        except OSError:
            self.unread.append(below or ".")
            return
        if (place.st_dev, place.st_ino) in self._seen and place.st_ino:
            self.doubled.append(below)  # A link to a folder above, or to one that was walked through.
            return
        self._seen.add((place.st_dev, place.st_ino))
        here = {entry.name for entry in found}
        if below and any(here.issuperset(marks) for marks in _OWN_MARKS):
            self.own.append(below)
            return
        # Folders themselves before links to folders, so that a link is the double.
        for entry in sorted(found, key=lambda entry: entry.is_symlink()):
            self._take(entry, f"{below}/{entry.name}" if below else entry.name)

    def _take(self, entry, name):
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
            is_there = is_folder or is_file or not stat.S_ISLNK(entry.stat(follow_symlinks=False).st_mode)
        except OSError:
            self.unread.append(name)
            return
        if entry.name.startswith(".") or (is_folder and entry.name in _HIDDEN):
            self.hidden.append(name)
        elif is_folder:
            self._walk(name)
        elif is_file:
            self.names.append(name)
            if entry.is_symlink():
                self.links.add(name)
        elif is_there or entry.is_symlink():
            self.unread.append(name)  # A pipe, which to read could take for ever, or a link to nowhere.

    def without_doubles(self, names):
        """Returns `names` without links to a file that is among them by its own name or by an earlier link."""
        base = os.path.realpath(self._folder)
        seen = {os.path.join(base, *name.split("/")) for name in names if name not in self.links}
        kept = []
        for name in names:
            if name in self.links:
                target = os.path.realpath(os.path.join(base, name))
                if target in seen:
                    self.doubled.append(name)
                    continue
                seen.add(target)
            kept.append(name)
        return kept

    def left_out(self):
        """Returns lines that say what was left out."""
        kinds = (
            ("hidden folders and files", self.hidden),
            ("folders that this program wrote", self.own),
            ("folders, pipes and links that cannot be read", self.unread),
            ("links to what is there already", self.doubled),
        )
        return [f"{words} ({len(found):,}): {sources.named(found)}" for words, found in kinds if found]


def image_files(folder):
    """Returns the paths of the images below a folder, sorted; what this program wrote in folders of its own is none."""
    paths = (os.path.join(folder, name) for name in Listing(os.fspath(folder)).names)
    return [path for path in paths if decode.is_image(path)]


def _class_labels(classes, rows):
    """Returns the `Labels` of the class folders of some images; none where they say nothing.

    Classes say something where each image is in one, there are at least two, and they have two images on average.
    """
    classes = [classes[row] for row in rows]
    values = tuple(sorted(set(classes)))
    if "" in values or len(values) < 2 or 2 * len(values) > len(classes):
        return sources.Labels()
    number = {value: index for index, value in enumerate(values)}
    column = np.array([number[one] for one in classes], np.int64)
    return sources.Labels({_LABEL: column}, {}, {_LABEL: tuple(sources.one_line(value) for value in values)})


def _no_labels(folder, names, classes):
    """Returns a line where some images are in class folders and others are not: then there are no labels."""
    if not any(classes):
        return []
    outside = [name for name, one in zip(names, classes, strict=True) if not one and decode.is_image_name(name)]
    outside = [name for name in outside if not decode.is_own_picture(os.path.join(folder, name))]
    return [f"no labels, for {len(outside):,} images are in no class folder"] * bool(outside)


def _cartoonset_labels(folder, names, rows):
    """Returns the `Labels` that the csv files beside the images of an unpacked Cartoon Set hold."""
    from tfvae.data import cartoonset  # Here: TensorFlow Datasets takes a second.

    found = []
    for name in (names[row] for row in rows):
        path = os.path.join(folder, os.path.splitext(name)[0] + ".csv")
        with open(path, encoding="utf-8", errors="replace") as file:
            found.append(cartoonset.read_attributes(file.read(), path))
    values = {name: tuple(map(str, range(count))) for name, count in cartoonset.ATTRIBUTES.items()}
    return sources.Labels({name: np.array([one[name] for one in found], np.int64) for name in values}, {}, values)


def is_cartoonset(names):
    """Returns whether the files are those of an unpacked Cartoon Set: csNUMBER.png, each with a csv beside it."""
    there = set(names)
    images = [name for name in names if name.endswith(".png")]
    return bool(images) and all(
        re.fullmatch(r"cs\d{4,}\.png", name.rpartition("/")[2]) and f"{name[:-4]}.csv" in there for name in images
    )


def _state(path):
    try:
        found = os.stat(path)
    except OSError:
        return "unreadable"
    return f"{found.st_size}:{found.st_mtime_ns}"


def find(settings, folder):
    """Returns the `source.Source` of the images below `folder`.

    Sub-folders train, val (valid, validation) and test at the top are the official splits; other folders beside them
    are left out. Below them, or without them, the first folder of an image is its class.

    Raises:
        UserError: If there are no files, or the folder cannot be read.
    """
    folder = os.fspath(folder)
    listing = Listing(folder)
    names, left_out, found = listing.names, [], []
    if "." in listing.unread:
        raise config.UserError(f"--data={settings.data}: no permission to read this folder.")
    if listing.unread and settings.strict:
        raise config.UserError(f"--data={settings.data}: cannot be read: {sources.named(listing.unread)}.")
    if not names:
        more = "; left out: " + "; ".join(listing.left_out()) if listing.left_out() else ""
        raise config.UserError(f"--data={settings.data}: expected images in this folder, got none{more}.")
    if is_cartoonset(names):
        found.append("an unpacked Cartoon Set, with its 18 attributes")
        names = [name for name in names if name.endswith(".png")]
        labels = functools.partial(_cartoonset_labels, folder, names)
        official, classes = {}, None
    else:
        top = folder_names.single_top(names)
        names, official, classes, beside = _by_folders(names, top)
        if official and not len(official["train"]):
            of_splits = folder_names.split_folders([name[len(top) :] for name in names])
            only = ", ".join(f"{name}/" for name in of_splits.values())
            raise config.UserError(
                f"--data={settings.data}: expected images to train on beside {only}, got none; --data={folder}/"
                f"{top}{only.split(',')[0]} takes these."
            )
        kept = set(listing.without_doubles(names))
        rows = [row for row, name in enumerate(names) if name in kept]
        numbers = np.full(len(names), -1)
        numbers[rows] = np.arange(len(rows))
        official = {split: numbers[indices][numbers[indices] >= 0] for split, indices in official.items()}
        names, classes = [names[row] for row in rows], [classes[row] for row in rows]
        found += _no_labels(folder, names, classes) + folder_names.doubts([name[len(top) :] for name in names])
        if beside:
            kinds = [f"{sources.one_line(name)}/ ({count:,})" for name, count in beside.items() if name]
            kinds += [f"files at the top ({beside['']:,})"] * ("" in beside)
            left_out.append(f"what is beside the folders of the splits: {', '.join(kinds)}")
        labels = functools.partial(_class_labels, classes)
    left_out = listing.left_out() + left_out
    state = (f"{name}:{_state(os.path.join(folder, name))}" for name in names)
    return sources.Source(
        count=len(names),
        channels=3,
        stream=lambda: ((index, os.path.join(folder, name)) for index, name in enumerate(names)),
        fetch=lambda index: os.path.join(folder, names[index]),
        identity=sources.digest([sources.digest(state), folder]),
        official=official,
        names=names,
        labels=labels,
        found=tuple(found),
        left_out=tuple(left_out),
    )


def _by_folders(names, top):
    """Returns (names, official splits, the class of each, {what is beside the splits: number of files})."""
    below = [name[len(top) :] for name in names]
    splits = folder_names.split_folders(below)
    beside = collections.Counter()
    if "train" in splits:
        inside = [folder_names.first(name) in splits.values() for name in below]
        beside.update(folder_names.first(name) for name, there in zip(below, inside, strict=True) if not there)
        names = [name for name, there in zip(names, inside, strict=True) if there]
        below = [name[len(top) :] for name in names]
    tops = np.array([folder_names.first(name) for name in below], object)
    official = {split: np.flatnonzero(tops == of_split) for split, of_split in splits.items()}
    if splits:  # Without a folder of its own, all that is beside the others is to train on.
        official.setdefault("train", np.flatnonzero(~np.isin(tops.astype(str), list(splits.values()))))
        in_split = set(splits.values())
        below = [name.partition("/")[2] if folder_names.first(name) in in_split else name for name in below]
    return names, official, [folder_names.first(name) for name in below], beside
