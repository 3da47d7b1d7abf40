"""Image files made hostile: each a real file of one of many kinds with a few random changes."""

import io
import struct
import zlib

import image_files
from PIL import Image

_EDGES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80")


def _seeds():
    seeds = image_files.FILES | image_files.BROKEN
    for bits, colour in ((1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (4, 3), (8, 4), (16, 4)):
        for interlaced in (False, True):
            name = f"bits-{bits}-colour-{colour}{'-interlaced' * interlaced}.png"
            seeds[name] = image_files.png(bits, colour, interlaced)
    seeds["16-bit-rgba-interlaced.png"] = image_files.png(16, 6, True)
    picture = Image.fromarray(image_files.smooth(3, 40, 56))
    for name, kind, options in (
        ("bits-1.bmp", "BMP", {}),
        ("grey-progressive.jpg", "JPEG", {"progressive": True}),
        ("subsampled.jpg", "JPEG", {"subsampling": 2}),
        ("restarts.jpg", "JPEG", {"restart_marker_rows": 1}),
        ("lossy-alpha.webp", "WEBP", {}),
    ):
        image = {"bits-1.bmp": picture.convert("1"), "grey-progressive.jpg": picture.convert("L")}.get(name, picture)
        if name == "lossy-alpha.webp":
            image = Image.fromarray(image_files.smooth(4, 40, 56))
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        seeds[name] = buffer.getvalue()
    return seeds


SEEDS = _seeds()
SERVED = {name: content for name, content in SEEDS.items() if name.endswith((".png", ".jpg"))}


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


def hostile(random, seeds=SEEDS):
    """Returns (name of the seed, file content) with one change, or a few.

    Args:
        random: A `random.Random`, or what behaves like one: the same one gives the same file.
        seeds: {name: content} of files to change.
    """
    name = random.choice(sorted(seeds))
    content = seeds[name]
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        if content:
            content = random.choice(_CHANGES)(content, random)
    if random.randrange(2):
        content = _mend(content, random)
    return name, content
