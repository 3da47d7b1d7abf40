"""Image files to Pillow images: identified by content, held to limits by the header, the first frame on its canvas.

Pillow reads every format, so that a file is what a viewer shows. A file's turn (its EXIF orientation) is returned
beside the image: turning the resized image costs less time and memory than turning all of its pixels.
"""

import contextlib
import functools
import io
import os
import threading
import warnings
from typing import NamedTuple

from PIL import ExifTags, Image, JpegImagePlugin

from tfvae import config

# Not read: programs that Ghostscript would run, and containers whose pixels Pillow itself cannot decode.
_NOT_READ = {"EPS", "BUFR", "GRIB", "HDF5", "WMF", "MPEG"}
# Formats with hardly a signature: text and binary files of other kinds pass for them. Taken by their endings alone.
_BY_ENDING = {"TGA", "SPIDER", "PCD", "MSP", "PCX", "PPM", "IMT", "IPTC", "GBR", "XVTHUMB", "CUR", "DCX", "FLI", "XBM"}
# Formats whose decoders take little more than the image itself; of others half as many pixels are decoded.
_LIGHT = {"PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "PCX"}
_MOST_SCANS = 100  # Of a progressive JPEG: each goes over the whole image. Cameras and programs write about ten.
_ONE_COLOUR_SCAN = b"\xff\xda\0\x08\1"  # Start of a JPEG's scan that has one of several colours.
_LARGE = 20_000_000  # Pixels of a JPEG from which on it matters that a decoder keeps all of them.
_JPEG = b"\xff\xd8\xff"
PNG_OR_JPEG = (_JPEG, b"\x89PNG")  # How files begin that an export takes.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class NotAnImage(ValueError):
    """The file is none that Pillow identifies as an image."""


class Unreadable(ValueError):
    """An image that is damaged, or refused by its header; the text says why, in one line."""


class OwnPicture(ValueError):
    """A picture that this program wrote."""


class Decoded(NamedTuple):
    """The first frame of an image file, as it is stored."""

    image: Image.Image
    box: tuple  # (0, 0, right, bottom): the part of `image` that the file's pixels fill, floats.
    turn: Image.Transpose | None  # What makes it upright.
    size: tuple  # (width, height) of the file, upright.

    @property
    def is_turned_sideways(self):
        """Whether width and height change places when the image is turned upright."""
        return self.turn is not None and self.turn not in (_TURNS[2], _TURNS[3], _TURNS[4])

    def upright(self):
        """Returns the image as a viewer shows it."""
        return self.image if self.turn is None else self.image.transpose(self.turn)


@functools.lru_cache(maxsize=1)
def _formats():
    """Returns (the formats that are read, {ending: format})."""
    with contextlib.suppress(ImportError):
        import pillow_heif  # HEIC, where it is installed.

        pillow_heif.register_heif_opener()
    Image.init()
    formats = [name for name in Image.OPEN if name not in _NOT_READ]
    endings = Image.registered_extensions() | {".imt": "IMT", ".p7": "XVTHUMB", ".spi": "SPIDER", ".spider": "SPIDER"}
    return formats, {ending: name for ending, name in endings.items() if name in formats}


def _ending(name):
    return os.path.splitext(os.fsdecode(name))[1].lower()


def is_image_name(name):
    """Returns whether a file's name ends as images' names do."""
    return _ending(name) in _formats()[1]


class _Limits:
    """Pillow's own limits are the process's: set by the first thread that decodes, put back by the last."""

    def __init__(self):
        self._lock, self._users, self._before = threading.Lock(), 0, contextlib.ExitStack()

    def enter(self, max_pixels):
        with self._lock:
            if not self._users:
                self._before.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
                self._before.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")  # They are about metadata that nobody looks at here.
            self._users += 1
            Image.MAX_IMAGE_PIXELS = max(1, (max_pixels + 1) // 2)  # Pillow refuses more than twice as many.

    def leave(self):
        with self._lock:
            self._users -= 1
            if not self._users:
                self._before.close()


_LIMITS = _Limits()


@contextlib.contextmanager
def limits(max_pixels):
    """Sets Pillow's own limits for all that is decoded within the block, by whichever thread."""
    _formats()
    _LIMITS.enter(max_pixels)
    try:
        yield
    finally:
        _LIMITS.leave()


def _identify(file, name):
    """Returns the image that Pillow finds in an open file; no pixel is decoded yet."""
    is_jpeg = file.read(3) == _JPEG
    file.seek(0)
    if is_jpeg:  # Not by Image.open, which refuses large photographs before they are decoded at a fraction.
        return JpegImagePlugin.JpegImageFile(file)
    formats, endings = _formats()
    own = endings.get(_ending(name))
    return Image.open(file, formats=[one for one in formats if one not in _BY_ENDING or one == own])


def is_image(path):
    """Returns whether the file is an image by its content, or is called one by its name: it may still be damaged."""
    if is_image_name(path):
        return True
    try:
        with limits(config.DataConfig.max_pixels), open(path, "rb") as file:
            _identify(file, path)
        return True
    except Image.DecompressionBombError:
        return True
    except Exception:  # What is no image can raise nearly anything in there.
        return False


def is_own_picture(path):
    """Returns whether the file is a picture that this program wrote."""
    try:
        with limits(config.DataConfig.max_pixels), open(path, "rb") as file:
            return _is_own(_identify(file, path))
    except Exception:  # As above.
        return False


def _is_own(image):
    words = [image.info.get("Software"), image.info.get("comment")]
    if image.format == "WEBP" and "exif" in image.info:
        words.append(image.getexif().get(ExifTags.Base.Software))
    return config.PROGRAM in words or config.PROGRAM.encode() in words


def _draft(image, file, wanted):
    """Has a large JPEG decoded at a half, a quarter or an eighth: its transform gives means of as many pixels a side.

    Returns:
        ((width, height) that take memory, the part of the image that is filled).
    """
    full, keeps_all = image.size, "progressive" in image.info
    if keeps_all or full[0] * full[1] > _LARGE:
        file.seek(0)
        content = file.read()
        scans = content.count(b"\xff\xda")
        if keeps_all and scans > _MOST_SCANS:
            raise Unreadable(f"expected at most {_MOST_SCANS} scans in a JPEG file, got {scans}")
        # A file that has a scan for each colour keeps all its coefficients, too.
        keeps_all = keeps_all or (image.mode != "L" and _ONE_COLOUR_SCAN in content)
    # Twice the size that is wanted stays, so that the resize that follows has the last word.
    side = 2 * max(wanted) if wanted else 0
    box = (0, 0, *full)
    if side and min(full) >= 2 * side:
        box = image.draft(None, (side, side))[1]
    return (full if keeps_all else image.size), box


def _mend_colour_key(image):
    """Brings the transparent colour of a PNG to the 8 bits of its pixels: Pillow leaves it at the file's depth."""
    key, kind = image.info.get("transparency"), image.tile[0].args if image.tile else None
    if kind in ("L;2", "L;4") and isinstance(key, int):
        image.info["transparency"] = key * (85 if kind == "L;2" else 17)
    elif kind == "RGB;16B" and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _turn(image):
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # Damaged metadata: a viewer shows the pixels as they are.
        return None


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def open_image(file, max_pixels, wanted=None, own=True):
    """Decodes the first frame of an image file. Call it within `limits`.

    Args:
        file: Its path, or its content as bytes.
        max_pixels: Largest width times height that is decoded. Of a JPEG, what is decoded of it counts; of formats and
            numbers that take twice the memory (WebP and AVIF; floats) half as many.
        wanted: (height, width) that will be made of it: a much larger JPEG is decoded at a fraction. None: all of it.
        own: Whether pictures that this program wrote are read.

    Returns:
        A `Decoded`.

    Raises:
        NotAnImage: If it is none.
        Unreadable: If it cannot be read, is damaged, or is larger.
        OwnPicture: If this program wrote it, unless `own`.
    """
    is_bytes = isinstance(file, bytes)
    try:
        with io.BytesIO(file) if is_bytes else open(file, "rb") as opened:
            image = _identify(opened, "" if is_bytes else file)
            if not own and _is_own(image):
                raise OwnPicture
            full, counted, box = image.size, image.size, (0, 0, *image.size)
            if image.format == "JPEG":
                counted, box = _draft(image, opened, wanted)
            is_light = image.format in _LIGHT and image.mode not in ("I", "F")
            most = max_pixels if is_light else max_pixels // 2
            if counted[0] * counted[1] > most:
                raise Unreadable(f"expected at most {most:,} pixels, got {counted[0]:,} x {counted[1]:,}")
            if image.format == "PNG":
                _mend_colour_key(image)
            image.load()
            decoded = Decoded(image, box, _turn(image), full)
    except (NotAnImage, Unreadable, OwnPicture):
        raise
    except Image.UnidentifiedImageError:
        raise NotAnImage("expected an image file, got none that Pillow reads") from None
    except Image.DecompressionBombError:
        raise Unreadable(f"expected at most {max_pixels:,} pixels, got more") from None
    except OSError as error:
        raise Unreadable(error.strerror or _one_line(error)) from None
    except Exception as error:  # A damaged file can raise nearly anything in there.
        raise Unreadable(_one_line(error)) from None
    if not image.width or not image.height:
        raise Unreadable("expected an image of at least one pixel, got none")
    return decoded._replace(size=full[::-1]) if decoded.is_turned_sideways else decoded


def as_png_or_jpeg(path, max_pixels=config.DataConfig.max_pixels):
    """Returns the content of an image file as a server takes it: PNG and JPEG as they are, all else as PNG.

    Raises:
        UserError: If it is no image, or cannot be read; the message names the file.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
        if content.startswith(PNG_OR_JPEG):
            return content
        with limits(max_pixels):
            image = open_image(os.fsdecode(path), max_pixels).upright()
        buffer = io.BytesIO()
        if image.mode not in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        image.info.pop("icc_profile", None)
        image.save(buffer, "PNG", compress_level=1)
    except OSError as error:
        raise config.UserError(f"{path}: {error.strerror or error}.") from None
    except ValueError as error:
        raise config.UserError(f"{path}: {error}.") from None
    return buffer.getvalue()
