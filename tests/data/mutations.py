"""Image files made hostile: each a real file of one of many kinds with a few random changes."""

import io
import struct
import zlib

import numpy as np
import test_images
from PIL import Image

_EDGES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80")


def _png(bits, colour, interlaced, height=14, width=22):
    """Returns a PNG file written by hand, of a kind that Pillow does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    random = np.random.default_rng(bits + 10 * colour)
    rows = b""
    for left, top, right, down in passes:
        columns = len(range(left, width, right))
        for _ in range(top, height, down) if columns else ():
            rows += b"\0" + random.bytes((columns * samples * bits + 7) // 8)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    palette = chunk(b"PLTE", random.bytes(3 * 2**bits)) if colour == 3 else b""
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + data + chunk(b"IEND", b"")


def _seeds():
    seeds = {name: content for name, (content, _) in test_images.FILES.items()} | test_images.BROKEN
    for bits, colour in ((1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (4, 3), (8, 4), (16, 4)):
        for interlaced in (False, True):
            seeds[f"bits-{bits}-colour-{colour}{'-interlaced' * interlaced}.png"] = _png(bits, colour, interlaced)
    seeds["16-bit-rgba-interlaced.png"] = _png(16, 6, True)
    picture = Image.fromarray(test_images.smooth(3, 40, 56))
    for name, kind, options in (
        ("bits-1.bmp", "BMP", {}),
        ("grey-progressive.jpg", "JPEG", {"progressive": True}),
        ("subsampled.jpg", "JPEG", {"subsampling": 2}),
        ("restarts.jpg", "JPEG", {"restart_marker_rows": 1}),
        ("lossy-alpha.webp", "WEBP", {}),
    ):
        image = {"bits-1.bmp": picture.convert("1"), "grey-progressive.jpg": picture.convert("L")}.get(name, picture)
        if name == "lossy-alpha.webp":
            image = Image.fromarray(test_images.smooth(4, 40, 56))
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        seeds[name] = buffer.getvalue()
    return seeds


SEEDS = _seeds()


def _flip(content, random):
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]


def _replace(content, random):
    edge = random.choice(_EDGES)
    at = random.randrange(len(content))
    return content[:at] + edge + content[at + len(edge) :]


def _edit_header(content, random):
    """Puts a number of two or four bytes where headers are, in either order."""
    at = random.randrange(min(len(content), 64))
    number = random.choice((0, 1, 2, 255, 256, 9_999, 16_383, 32_767, 65_535, 2**31 - 1, 2**32 - 1))
    kind = random.choice(("<H", ">H", "<I", ">I"))
    value = struct.pack(kind, number & (0xFFFF if "H" in kind else 0xFFFFFFFF))
    return content[:at] + value + content[at + len(value) :]


def _cut(content, random):
    return content[: random.randrange(len(content))]


def _drop(content, random):
    start = random.randrange(len(content))
    return content[:start] + content[start + random.randrange(1, 64) :]


def _double(content, random):
    start = random.randrange(len(content))
    part = content[start : start + random.randrange(1, 256)] * random.choice((1, 1, 2, 50))
    return content[:start] + part + content[start:]


def _fill(content, random):
    start = random.randrange(len(content))
    stop = min(start + random.randrange(1, 256), len(content))
    return content[:start] + random.choice((b"\0", b"\xff")) * (stop - start) + content[stop:]


def _splice(content, random):
    other = SEEDS[random.choice(sorted(SEEDS))]
    return content[: random.randrange(len(content))] + other[random.randrange(len(other) + 1) :]


def _mend(content, random):
    """Writes the right checksum behind each chunk of a PNG file, so that what was changed is read at all."""
    del random
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    out, at = content[:8], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if at + 12 + length > len(content):
            break
        body = content[at + 4 : at + 8 + length]
        out += content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out + content[at:]


_CHANGES = (_flip, _flip, _replace, _edit_header, _edit_header, _cut, _drop, _double, _fill, _splice)


def hostile(random):
    """Returns (name of the seed, file content) with one change, or a few.

    Args:
        random: A `random.Random`, or what behaves like one: the same one gives the same file.
    """
    name = random.choice(sorted(SEEDS))
    content = SEEDS[name]
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        if content:
            content = random.choice(_CHANGES)(content, random)
    if random.randrange(2):
        content = _mend(content, random)
    return name, content
