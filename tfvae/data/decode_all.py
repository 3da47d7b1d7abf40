"""Decodes all images of a source, in threads, and notes what is known of each.

Pillow decodes beside other threads, so that a process for each core, and what it costs to send images between them, is
not needed. Values that have to be looked at first (16 bits, masks of 0 and 1) take a second pass over those images.
"""

import collections
import concurrent.futures
import functools
import hashlib
import itertools
import math
import os
import warnings
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tfvae.data import decode, preprocessing, value_range
from tfvae.data import source as sources

_CHUNK = 16  # Images that a thread takes at a time.


class Facts(NamedTuple):
    """What is known of the images that could be decoded, besides their pixels."""

    rows: np.ndarray  # [n] int64: their indices in the source, ascending.
    sizes: np.ndarray  # [n, 2] int32: width and height of the file, upright.
    digests: np.ndarray  # [n] uint64 of the prepared pixels: equal where these are.
    blank: np.ndarray  # [n] bool: whether all pixels have one colour.
    formats: dict  # format -> number of images
    problems: dict  # index -> why it is not there: "own", "no image", or what is wrong with it.
    levels: tuple  # (least, largest) value of all prepared pixels, 0 to 255.
    values: tuple | None  # (black, white) of the values that were looked at; None where nobody has to be told.


class _Answer(NamedTuple):
    """What became of one image."""

    index: int
    pixels: np.ndarray | None = None  # None where it could not be decoded, or its value range is not known yet.
    size: tuple = (0, 0)
    format: str = ""
    extrema: tuple | None = None  # Least and largest value, of what has to be looked at.
    dtype: object = None  # Of these values.
    problem: str = ""


def prepared(index, image, spec, settings, looks_at_bytes, own=False):
    """Returns the `_Answer` of one image: a path, a file's content, or pixels."""
    if isinstance(image, np.ndarray):
        return _Answer(index, preprocessing.prepare_pixels(image, spec), image.shape[1::-1], "array")
    try:
        decoded = decode.open_image(image, settings.max_pixels, (spec.height, spec.width), own)
        kind = decoded.image.format or "image"
        if preprocessing.is_deep(decoded.image):
            values = preprocessing.values_of(decoded.image)
            extrema = float(values.min()), float(values.max())
            if not all(map(math.isfinite, extrema)):
                return _Answer(index, problem=f"expected finite numbers, got {extrema[0]} to {extrema[1]}")
            if spec.deep_values is None:
                return _Answer(index, None, decoded.size, kind, extrema, values.dtype)
        elif looks_at_bytes:
            extrema = np.reshape(decoded.image.getextrema(), (-1, 2))[:3]
            pixels = preprocessing.prepare(decoded, spec)
            return _Answer(index, pixels, decoded.size, kind, (extrema.min(), extrema.max()), np.dtype(np.uint8))
        return _Answer(index, preprocessing.prepare(decoded, spec), decoded.size, kind)
    except decode.OwnPicture:
        return _Answer(index, problem="own")
    except decode.NotAnImage:
        return _Answer(index, problem="no image")
    except decode.Unreadable as error:
        return _Answer(index, problem=sources.one_line(str(error)))
    except Exception as error:  # Of a damaged file, what is lazily decoded can raise nearly anything.
        return _Answer(index, problem=sources.one_line(f"{type(error).__name__}: {error}"))


def cores():
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_threads(function, items):
    """Yields function(*item) of each item, in no order; few are held at a time. Pillow decodes beside other threads."""
    chunks = iter(lambda: list(itertools.islice(items, _CHUNK)), [])
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        running = set()
        try:
            for chunk in chunks:
                running.add(pool.submit(lambda chunk: [function(*item) for item in chunk], chunk))
                if len(running) >= 4 * cores():
                    done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                    for one in done:
                        yield from one.result()
            for one in concurrent.futures.as_completed(running):
                yield from one.result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Decoding:
    """Decodes all images of a source, and gives each to `write(index, pixels)`."""

    def __init__(self, source, spec, settings, write):
        self.spec, self._source, self._settings, self._write = spec, source, settings, write
        self._arrived = np.zeros(source.count, bool)
        self._sizes = np.zeros((source.count, 2), np.int32)
        self._digests = np.zeros(source.count, np.uint64)
        self._blank = np.zeros(source.count, bool)
        self._formats, self._problems, self._values, self._levels = collections.Counter(), {}, None, (255, 0)
        self._are_mixed = False

    def run(self):
        """Returns the `Facts`."""
        with decode.limits(self._settings.max_pixels):
            deep, flat = self._pass(self._source.stream(), self._source.count)
            if flat and self._found(flat, "values")[1] < 255:
                # Masks and classes: they looked black, and all of them are read again.
                deep, _ = self._pass(self._source.stream(), self._source.count)
            if deep:
                self._found(deep, "deep_values")
                again = {answer.index for answer in deep}
                items = ((index, image) for index, image in self._source.stream() if index in again)
                self._pass(items, len(again))
        if self._are_mixed:  # Here: within the limits, warnings are for nobody.
            warnings.warn("files of whole numbers lie beside files of floats: all are ranged alike", stacklevel=3)
        rows = np.flatnonzero(self._arrived)
        facts = self._sizes[rows], self._digests[rows], self._blank[rows]
        return Facts(rows, *facts, dict(self._formats), self._problems, self._levels, self._values)

    def _found(self, answers, name):
        """Chooses the range of the values that were looked at, and keeps it in the spec under `name`."""
        lowest, highest = (extreme(answer.extrema[k] for answer in answers) for k, extreme in enumerate((min, max)))
        types = {answer.dtype for answer in answers}
        self._are_mixed = len({dtype.kind == "f" for dtype in types}) > 1
        dtype = np.result_type(*types)
        found, is_usual = value_range.choose(dtype, lowest, highest, self._settings)
        self.spec = self.spec._replace(**{name: found})
        self._values = None if is_usual else (found.black, found.white)
        return found

    def _pass(self, items, total):
        """Decodes some images; returns those whose values wait to be looked at, and those that were."""
        prepare = functools.partial(
            prepared, spec=self.spec, settings=self._settings,
            looks_at_bytes=self._source.looks_at_bytes and self.spec.values is None,
        )  # fmt: skip
        waiting, looked_at = [], []
        # Shown only where it takes long.
        with tqdm(
            total=total, desc="Reading images", unit="", delay=2.0, mininterval=0.5, leave=False, disable=None
        ) as bar:
            for answer in _in_threads(prepare, items):
                if answer.problem:
                    self._problems[answer.index] = answer.problem
                elif answer.pixels is None:
                    waiting.append(answer)
                else:
                    self._keep(answer)
                    if answer.extrema:
                        looked_at.append(answer._replace(pixels=None))
                bar.update()
        return waiting, looked_at

    def _keep(self, answer):
        index, pixels = answer.index, answer.pixels
        self._write(index, pixels)
        if not self._arrived[index]:
            self._formats[answer.format] += 1
        self._arrived[index] = True
        self._sizes[index] = answer.size
        digest = hashlib.blake2b(pixels.tobytes(), digest_size=8).digest()
        self._digests[index] = int.from_bytes(digest, "big")
        self._blank[index] = (pixels == pixels[0, 0]).all()
        darkest, brightest = self._levels
        self._levels = min(darkest, int(pixels.min())), max(brightest, int(pixels.max()))


def decode_all(source, spec, settings, write):
    """Decodes the images of a source, and gives each to `write`.

    Args:
        source: A `source.Source`.
        spec: A `preprocessing.ImageSpec`.
        settings: A `config.DataConfig`.
        write: Called with (index in the source, uint8 [H, W, C]), for an image twice where its values were looked at.

    Returns:
        (`Facts`, the spec with the value ranges that were found).
    """
    decoding = _Decoding(source, spec, settings, write)
    facts = decoding.run()
    return facts, decoding.spec
