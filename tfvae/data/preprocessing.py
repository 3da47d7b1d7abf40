"""Decoded images of any size and kind to what the model takes: uint8 [H, W, C].

In this order: value range, crop, colours times alpha, resize, turn, padding, background, grey. Colours are multiplied
by alpha before the resize, for the colour of a transparent pixel must not bleed into its neighbours, and put on the
background after it, where there are fewer pixels. An exported model does the same in its graph
(`serving.image_preprocessing`).
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from tfvae.data import decode, value_range

LUMA = np.float32([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's convert("L").
# A resize to less than a sixth is preceded by means of whole pixels, in a third of the time: of drawings 0.06 of 255
# levels off on average and 3 at most.
REDUCING_GAP = 3.0
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


class ImageSpec(NamedTuple):
    """What all images are brought to, and how."""

    height: int
    width: int
    channels: int  # 1: grey, 3: RGB, 4: RGB times alpha, and alpha.
    fit: str = "crop"  # Or "pad", "stretch": how other aspect ratios are met.
    resize_filter: str = "bilinear"
    background: tuple = (255, 255, 255)  # Behind transparent pixels and padding; with 4 channels both are transparent.
    values: value_range.ValueRange | None = None  # Of --black and --white, for files of 8 bits; None: 0 to 255.
    deep_values: value_range.ValueRange | None = None  # Of files of more than 8 bits; None: not known yet.

    @property
    def shape(self):
        """(H, W, C)."""
        return self.height, self.width, self.channels


def spec_of(settings, image_shape, deep_values=None):
    """Returns the `ImageSpec` of a `config.DataConfig` and (H, W, C)."""
    values = None
    if (settings.black, settings.white) != ("auto", "auto"):
        black, white = (value if value != "auto" else usual
                        for value, usual in ((settings.black, 0), (settings.white, 255)))  # fmt: skip
        values = value_range.ValueRange(float(black), max(float(white), float(black) + 1))
    return ImageSpec(*image_shape, settings.fit, settings.resize_filter, settings.background_rgb, values, deep_values)


def is_deep(image):
    """Returns whether a Pillow image has grey values of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def values_of(image):
    """Returns the values of a deep Pillow image, [h, w]."""
    return np.asarray(image if image.mode in ("I", "F", "I;16") else image.convert("I"))


def _crop(box, width, height):
    """Returns the largest middle part of `box` that has the aspect ratio of width x height, floats."""
    full_width, full_height = box[2], box[3]
    new_width = min(full_width, full_height * width / height)
    new_height = min(full_height, full_width * height / width)
    left, top = (full_width - new_width) / 2, (full_height - new_height) / 2
    return left, top, left + new_width, top + new_height


def cut_share(sizes, spec):
    """Returns the shares [N], 0 to 1, that --fit=crop cuts off images of `sizes` [N, 2], widths and heights."""
    if spec.fit != "crop":
        return np.zeros(len(sizes))
    widths, heights = np.asarray(sizes, np.float64).T
    ratio = spec.width / spec.height
    return 1 - np.minimum(widths, heights * ratio) * np.minimum(heights, widths / ratio) / (widths * heights)


def _size_within(box, width, height):
    """Returns the largest (width, height) within width x height that has the aspect ratio of `box`."""
    scale = min(width / box[2], height / box[3])
    return tuple(min(max(1, round(side * scale)), most) for side, most in ((box[2], width), (box[3], height)))


def _levels(image, values):
    """Returns a Pillow image of 8 bits whose colours are spread from `values` to 0 to 255; alpha stays."""
    table = values.to_uint8(np.arange(256)).tolist()
    has_alpha = image.mode in ("LA", "RGBA")
    bands = len(image.getbands()) - has_alpha
    return image.point(table * bands + list(range(256)) * has_alpha)


def _as_8_bits(image, spec):
    """Returns a Pillow image of mode L, RGB or RGBA."""
    if is_deep(image):
        return Image.fromarray(spec.deep_values.to_uint8(values_of(image)))
    if image.has_transparency_data:
        mode = "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    # What is transparent is so in a corner, mostly: then alpha need not be looked at as a whole.
    if mode == "RGBA" and image.getpixel((0, 0))[3] == 255 and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    return _levels(image, spec.values) if spec.values else image


def _premultiplied(image):
    """Returns a Pillow image of mode RGBA as float32 [h, w, 4] in 0 to 255: colours times alpha, and alpha."""
    pixels = np.asarray(image).astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / np.float32(255)
    return pixels


def prepare(decoded, spec):
    """Makes an image what the model takes.

    Args:
        decoded: A `decode.Decoded`.
        spec: An `ImageSpec`, whose `deep_values` are known where the image has more than 8 bits.

    Returns:
        uint8 [H, W, C]; with 4 channels, colours are multiplied by alpha.
    """
    image, box = _as_8_bits(decoded.image, spec), decoded.box
    wanted = (spec.height, spec.width) if decoded.is_turned_sideways else (spec.width, spec.height)
    size = _size_within(box, *wanted) if spec.fit == "pad" else wanted
    if spec.fit == "crop":
        box = _crop(box, *wanted)
    is_transparent = image.mode == "RGBA"
    if image.size == size and tuple(box) == (0, 0, *size):
        pixels = _premultiplied(image) if is_transparent else np.asarray(image)
    else:
        image = image.convert("RGBa") if is_transparent else image
        pixels = np.asarray(image.resize(size, FILTERS[spec.resize_filter], box, REDUCING_GAP))
    if decoded.turn is not None:
        pixels = _TURNED[decoded.turn](pixels)
    return finish(pixels, spec)


def prepare_pixels(pixels, spec):
    """As `prepare`, of uint8 pixels [h, w, 1, 3 or 4], colours not multiplied by alpha."""
    height, width, bands = pixels.shape
    if (height, width) == (spec.height, spec.width) and bands < 4:
        return finish(pixels, spec)
    image = Image.fromarray(pixels[..., 0] if bands == 1 else pixels)
    size = width, height
    return prepare(decode.Decoded(image, (0, 0, *size), None, size), spec._replace(values=None))


# As Pillow's transpose, of arrays [h, w, ...].
_TURNED = {
    Image.Transpose.FLIP_LEFT_RIGHT: np.fliplr,
    Image.Transpose.ROTATE_180: lambda pixels: np.rot90(pixels, 2),
    Image.Transpose.FLIP_TOP_BOTTOM: np.flipud,
    Image.Transpose.TRANSPOSE: lambda pixels: np.swapaxes(pixels, 0, 1),
    Image.Transpose.ROTATE_270: lambda pixels: np.rot90(pixels, 3),
    Image.Transpose.TRANSVERSE: lambda pixels: np.swapaxes(np.rot90(pixels, 2), 0, 1),
    Image.Transpose.ROTATE_90: np.rot90,
}


def finish(pixels, spec):
    """Puts resized pixels on the background, in the middle of the size wanted, in the channels wanted.

    Args:
        pixels: [h, w] or [h, w, 1] grey, [h, w, 3] RGB or [h, w, 4] RGB times alpha and alpha; in 0 to 255, at most the
            size wanted.
        spec: An `ImageSpec`.

    Returns:
        uint8 [H, W, C].
    """
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    height, width, bands = pixels.shape
    if spec.channels == 4:
        if bands < 4:
            alpha = np.full((height, width, 1), 255, pixels.dtype)
            pixels = np.concatenate([np.broadcast_to(pixels, (height, width, 3)), alpha], axis=-1)
        background = (0, 0, 0, 0)
    else:
        background = np.float32(spec.background)
        if bands == 4:
            pixels = pixels[..., :3] + background * (1 - pixels[..., 3:] / np.float32(255))
            bands = 3
        if spec.channels == 1:
            pixels = pixels if bands == 1 else (pixels @ LUMA)[..., np.newaxis]
            background = background @ LUMA
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    if (height, width) == (spec.height, spec.width):
        return np.ascontiguousarray(np.broadcast_to(pixels, spec.shape))
    finished = np.empty(spec.shape, np.uint8)
    finished[:] = np.rint(background)
    top, left = (spec.height - height) // 2, (spec.width - width) // 2
    finished[top : top + height, left : left + width] = pixels
    return finished
