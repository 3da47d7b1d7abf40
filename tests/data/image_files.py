"""Image files of many kinds, made here: what Pillow writes, PNG that it does not write, and damaged ones."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

H, W = 14, 22  # Not square, so that a turn shows.


def smooth(channels, height=H, width=W, seed=0):
    """Returns uint8 [h, w, channels] without sharp edges, which JPEG keeps nearly as it is."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (4, 4, channels), dtype=np.uint8).squeeze())
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)


def noise(*shape, high=256, dtype=np.uint8):
    return np.random.default_rng(1).integers(0, high, shape, dtype=dtype)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name, content):
    """Returns a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(bits, colour, interlaced=False, transparency=b"", height=H, width=W, more=b""):
    """Returns a PNG file of noise, written by hand: of any colour type (0, 2, 3, 4 or 6) and depth.

    Args:
        bits: Of a sample.
        colour: The colour type.
        interlaced: Whether by Adam7.
        transparency: The content of its tRNS chunk; empty: none.
        height, width: Its size.
        more: Chunks before the pixels.
    """
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    random = np.random.default_rng(bits + 10 * colour)
    palette = chunk(b"PLTE", random.bytes(3 * 2**bits)) if colour == 3 else b""
    rows = b""
    for left, top, right, down in passes:
        columns = len(range(left, width, right))
        for _ in range(top, height, down) if columns else ():
            rows += b"\0" + random.bytes((columns * samples * bits + 7) // 8)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced)))
    palette += chunk(b"tRNS", transparency) if transparency else b""
    return b"\x89PNG\r\n\x1a\n" + header + palette + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_chunk(content, name, body):
    """Returns a PNG file with a chunk put behind its header."""
    return content[:33] + chunk(name, body) + content[33:]


def paletted(transparent):
    image = Image.new("P", (W, H))
    image.putpalette([value for k in range(8) for value in (k * 30, 255 - k * 20, k * k)])
    image.putdata(noise(H, W, high=8).ravel().tolist())
    return image, ({"transparency": 3} if transparent else {})


def frames(mode="RGB"):
    """Returns frames of flat colour with an opaque square elsewhere in each."""
    made = []
    for k in range(3):
        image = Image.new(mode, (W, H), (255, 40 * k, 0, 0) if mode == "RGBA" else (255, 40 * k, 0))
        image.paste((0, 0, 200 + k, 255) if mode == "RGBA" else (0, 0, 200 + k), (k, k, k + 6, k + 6))
        made.append(image)
    return made


def exif(orientation):
    """Returns the EXIF of an orientation, as Pillow writes it."""
    made = Image.Exif()
    made[0x0112] = orientation
    return made.tobytes()


def intel_exif(orientation):
    """Returns EXIF in Intel's order of bytes, of two tags."""
    entries = struct.pack("<HHII", 0x0110, 2, 4, 0x64636261) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)


def little_endian_exif():
    """Returns a JPEG file of orientation 6 with an Intel-ordered EXIF, after a comment segment."""
    plain = saved(Image.fromarray(smooth(3)), "JPEG", quality=95)
    found, comment = intel_exif(6), b"\xff\xfe" + struct.pack(">H", 6) + b"tfva"
    return plain[:2] + comment + b"\xff\xe1" + struct.pack(">H", len(found) + 2) + found + plain[2:]


def cmyk(height=H, width=W):
    return Image.merge("CMYK", [Image.fromarray(smooth(1, height, width, seed=k)[..., 0]) for k in range(4)])


def make_files():
    """Returns {name: file content}."""
    rgb, rgba = Image.fromarray(noise(H, W, 3)), Image.fromarray(noise(H, W, 4))
    grey = Image.fromarray(noise(H, W))
    still = Image.fromarray(smooth(3))
    more = {"save_all": True, "append_images": frames()[1:], "duration": 50}
    more_rgba = {"save_all": True, "append_images": frames("RGBA")[1:]}
    files = {
        "grey.png": saved(grey, "PNG"),
        "bilevel.png": saved(grey.convert("1"), "PNG"),
        "grey-alpha.png": saved(rgba.convert("LA"), "PNG"),
        "rgb.png": saved(rgb, "PNG"),
        "rgba.png": saved(rgba, "PNG"),
        "rgb-transparent-colour.png": saved(rgb, "PNG", transparency=rgb.getpixel((3, 2))),
        "16-bit-grey.png": saved(Image.fromarray(noise(H, W, high=65536, dtype=np.uint16)), "PNG"),
        "one-pixel.png": saved(rgb.resize((1, 1)), "PNG"),
        "animated.png": saved(frames()[0], "PNG", **more),
        "palette.bmp": saved(paletted(False)[0], "BMP"),
        "grey.bmp": saved(grey, "BMP"),
        "rgb.bmp": saved(rgb, "BMP"),
        "rgba.bmp": saved(rgba, "BMP"),
        "grey.jpg": saved(Image.fromarray(smooth(1)[..., 0]), "JPEG", quality=90),
        "rgb.jpg": saved(still, "JPEG", quality=90),
        "progressive.jpg": saved(still, "JPEG", progressive=True),
        "cmyk.jpg": saved(cmyk(), "JPEG", quality=95),
        "intel-exif.jpg": little_endian_exif(),
        "palette.gif": saved(paletted(False)[0], "GIF"),
        "transparent.gif": saved(paletted(True)[0], "GIF", transparency=3),
        "animated.gif": saved(frames()[0], "GIF", **more),
        "animated-transparent.gif": saved(frames("RGBA")[0], "GIF", comment=b"a comment", **more_rgba),
        "lossless.webp": saved(rgb, "WEBP", lossless=True),
        "lossless-alpha.webp": saved(rgba, "WEBP", lossless=True, exact=True),
        "lossy.webp": saved(still, "WEBP", quality=90),
        "animated.webp": saved(frames()[0], "WEBP", lossless=True, **more),
        "rgb.tif": saved(rgb, "TIFF"),
        "deep.tif": saved(Image.fromarray(noise(H, W, high=65536, dtype=np.uint16)), "TIFF"),
        "rgb.ppm": saved(rgb, "PPM"),
        "rgba.ico": saved(rgba, "ICO", sizes=[(W, H)]),
        "rgb.jp2": saved(rgb, "JPEG2000"),
    }
    moving = [Image.new("RGBA", (W, H)) for _ in range(3)]
    for k, frame in enumerate(moving):  # Frames that cover a part of the canvas only.
        frame.paste((200, 30 * k, 0, 255), (4 + k, 2, 14, 9 + k))
    rest = {"save_all": True, "append_images": moving[1:], "duration": 50}
    files["moving-lossless.webp"] = saved(moving[0], "WEBP", lossless=True, **rest)
    faded = [Image.fromarray(smooth(4, seed=k)) for k in range(3)]
    rest = {"save_all": True, "append_images": faded[1:], "duration": 50}
    files["animated-alpha.webp"] = saved(faded[0], "WEBP", quality=95, **rest)
    for bits in (1, 2, 4):
        image = Image.new("P", (W, H))
        image.putpalette([value for k in range(1 << bits) for value in (k * 10, 255 - k * 9, k * 3)])
        image.putdata(noise(H, W, high=1 << bits).ravel().tolist())
        files[f"palette-{bits}-bits.png"] = saved(image, "PNG", bits=bits)
        files[f"palette-{bits}-bits-transparent.png"] = saved(image, "PNG", bits=bits, transparency=1)
    for transparent in (False, True):
        image, options = paletted(transparent)
        files[f"palette{'-transparent' * transparent}.png"] = saved(image, "PNG", **options)
    for orientation in range(1, 9):
        files[f"exif-{orientation}.jpg"] = saved(still, "JPEG", quality=95, exif=exif(orientation))
    return files


FILES = make_files()
BROKEN = {
    "empty.png": b"",
    "text.png": b"This is no image, whatever its name says.\n",
    "truncated.png": FILES["rgb.png"][:-200],
    "truncated.jpg": FILES["rgb.jpg"][:-300],
    "truncated.gif": FILES["palette.gif"][:40],
    "truncated.bmp": FILES["rgb.bmp"][:-10],
    "truncated.webp": FILES["lossless.webp"][:-200],
    "truncated-animation.webp": FILES["moving-lossless.webp"][:60],
    "frameless.webp": FILES["animated.webp"][:40],
    "signature-only.png": b"\x89PNG\r\n\x1a\n",
    "signature-only.jpg": b"\xff\xd8\xff\xe1",
    "signature-only.gif": b"GIF89a",
    "signature-only.bmp": b"BM",
}


def claiming(name, height, width):
    """Returns a file of `FILES` whose header says another size than its pixels have."""
    content = FILES[name]

    def put(at, packed):
        return content[:at] + packed + content[at + len(packed) :]

    kind = name.split(".")[-1]
    if kind == "png":
        header = chunk(b"IHDR", struct.pack(">II", width, height) + content[24:29])
        return put(8, header)
    if kind == "bmp":
        return put(18, struct.pack("<ii", width, height))
    if kind == "gif":
        return put(6, struct.pack("<HH", width, height))
    if kind == "jpg":
        frame = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        return put(frame + 5, struct.pack(">HH", height, width))
    if content[12:16] == b"VP8X":
        return put(24, (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))
    if content[12:16] == b"VP8L":
        return put(21, (width - 1 | (height - 1) << 14).to_bytes(4, "little"))
    return put(26, struct.pack("<HH", width, height))
