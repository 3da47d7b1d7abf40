"""Pictures of images: grids, rows, animations and learning curves. NumPy in, files out; nothing here knows a model.

Images are [N, H, W, C], either float in [0, 1] or uint8 in 0 to 255, with C 1 (grey), 3 (RGB) or 4: red, green and
blue, multiplied by alpha, and alpha. A picture is what a file holds: uint8 [height, width, 3], or [height, width, 4]
with straight colours and alpha. `rows`, `grid`, `strip` and `single` make pictures of images; `save` writes a picture.
Small images are enlarged by a whole factor, each pixel repeated, so that what is seen is what the model drew.

Each file names the program, as Software (PNG, WebP) or as a comment (GIF), so that no training takes it for data.
"""

import functools
import io
import math
import pathlib

import numpy as np
from PIL import ExifTags, GifImagePlugin, Image, PngImagePlugin

from tfvae import config, files, locks

_STRIP = 12  # Images beside each other in the picture of a walk, at most.
_GUTTER = 4  # Pixels of white between images, and around them.
_WIDEST = 1400  # A picture is enlarged no further than to this width, in pixels.
_LARGEST = 240  # ... nor an image in it to more than this.


def _colours(images):
    """Returns `images` as a file holds them: uint8 [N, H, W, 3], or [N, H, W, 4] with straight colours and alpha.

    What is outside of [0, 1] is clipped, what is no number is 0.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4):
        raise ValueError(f"Expected images of shape [N, H, W, 1, 3 or 4], got {list(images.shape)}.")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"Expected images of uint8 or of floats in [0, 1], got {images.dtype}.")
    if images.shape[3] == 4:
        return _straight(images)
    if images.dtype != np.uint8:
        images = _bytes(np.nan_to_num(images.astype(np.float32)))
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _bytes(values):
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)


def _straight(images):
    """Returns images [N, H, W, 4], whose colours are multiplied by alpha, as uint8 with straight colours."""
    largest = 255 if images.dtype == np.uint8 else 1
    images = np.clip(np.nan_to_num(images.astype(np.float32)), 0, largest)
    alphas = _bytes(images[..., 3:] / np.float32(largest))
    colours = np.divide(images[..., :3], images[..., 3:], where=alphas > 0, out=np.zeros_like(images[..., :3]))
    return np.concatenate([_bytes(colours), alphas], axis=-1)


def _factor(height, width, columns):
    """Returns the whole factor by which `columns` images of this size beside each other are enlarged."""
    return max(1, min(_WIDEST // (columns * width), _LARGEST // max(height, width)))


def rows(sequences, columns=None):
    """Returns a picture with one row for each sequence, such as originals above their reconstructions.

    Args:
        sequences: List of [N, H, W, C] images; the Ns may differ, H and W may not.
        columns: Images beside each other; longer sequences go on in further blocks of rows. None: one block.

    Returns:
        uint8 [height, width, 3], white between images; or [height, width, 4] where C is 4, transparent between them.
    """
    sequences = [_colours(images) for images in sequences]
    longest = max((len(images) for images in sequences), default=0)
    if not longest:
        raise ValueError("Expected at least one image, got none.")
    if len({images.shape[1:] for images in sequences}) > 1:
        raise ValueError(f"Expected images of one size, got {[list(images.shape[1:]) for images in sequences]}.")
    height, width, channels = sequences[0].shape[1:]
    columns = min(columns or longest, longest)
    factor = _factor(height, width, columns)
    down, right = factor * height + _GUTTER, factor * width + _GUTTER
    blocks = math.ceil(longest / columns)
    # Blocks of several rows stand apart by more than their rows do, so that pairs are seen as pairs.
    apart = 4 * _GUTTER if len(sequences) > 1 else 0
    block_down = len(sequences) * down + apart
    size = blocks * block_down - apart + _GUTTER, columns * right + _GUTTER
    picture = np.full((*size, channels), 0 if channels == 4 else 255, np.uint8)
    for row, images in enumerate(sequences):
        for number, image in enumerate(images):
            block, column = divmod(number, columns)
            top, left = _GUTTER + block * block_down + row * down, _GUTTER + column * right
            enlarged = image.repeat(factor, axis=0).repeat(factor, axis=1)
            picture[top : top + factor * height, left : left + factor * width] = enlarged
    return picture


def strip(*walks):
    """Returns a picture of walks [N, H, W, C], one below another; a long one is in several lines of a length."""
    longest = max(map(len, walks))
    columns = math.ceil(longest / math.ceil(longest / _STRIP))
    return rows([walk[start : start + columns] for walk in walks for start in range(0, len(walk), columns)])


def grid(images, columns=None):
    """Returns a picture of images [N, H, W, C] in reading order, `columns` beside each other; None: about a square."""
    images = np.asarray(images)
    if columns is None and images.ndim == 4:
        columns = math.ceil(math.sqrt(len(images) * images.shape[1] / images.shape[2]))
    return rows([images], columns)


def single(image):
    """Returns the picture of one image [H, W, C], of its own size."""
    return _colours(np.asarray(image)[None])[0]


@functools.lru_cache  # Once a folder: to look through thousands of files before each of them would take hours.
def _remove_leftovers(folder):
    locks.remove_leftovers(folder, files.TEMPORARY)


def _write(path, write):
    """Writes a file of the bytes `write`, or calls `write(open file)`: nobody ever reads half a picture."""
    _remove_leftovers(pathlib.Path(path).absolute().parent)
    files.write(path, write)


def _png(image):
    buffer, information = io.BytesIO(), PngImagePlugin.PngInfo()
    information.add_text("Software", config.PROGRAM)
    image.save(buffer, format="PNG", pnginfo=information)
    return buffer.getvalue()


def to_png(picture):
    """Returns the bytes of the file that `save` writes."""
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        got = f"{picture.dtype} {list(picture.shape)}; `single` makes one of an image"
        raise ValueError(f"Expected a picture, uint8 [height, width, 3 or 4], got {got}.")
    return _png(Image.fromarray(picture))


def save(picture, path):
    """Writes a picture as PNG, as it is: what `rows`, `grid`, `strip` or `single` returned, not an image."""
    _write(path, to_png(picture))


def save_png(contents, path):
    """Writes a PNG file, given as bytes, with the same pixels and the name of the program."""
    with Image.open(io.BytesIO(contents)) as image:
        _write(path, _png(image))


def from_png(contents):
    """Returns the image [H, W, C] in the bytes of a PNG file: uint8 RGB, or float32 with C = 4 where it has alpha."""
    with Image.open(io.BytesIO(contents)) as image:
        if not image.has_transparency_data:
            return np.asarray(image.convert("RGB"))
        image = np.asarray(image.convert("RGBA"), np.float32) / 255
    image[..., :3] *= image[..., 3:]
    return image


def animation(images, path, milliseconds=80, there_and_back=True):
    """Writes images as an endless animation: `.gif`, or `.webp` without loss.

    Args:
        images: [N, H, W, C], N at least 1.
        path: The file; its suffix says the format.
        milliseconds: How long a frame is shown; the first and the last one stay eight times as long.
        there_and_back: Whether the frames are also shown backwards, so that the end does not jump to the start.

    Raises:
        ValueError: If the suffix is neither `.gif` nor `.webp`.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in (".gif", ".webp"):
        raise ValueError(f"Expected a .gif or .webp file, got {path}.")
    images = _colours(images)
    factor = _factor(*images.shape[1:3], 1)
    frames = [_of_palette(image) if suffix == ".gif" else Image.fromarray(image) for image in images]
    frames = [frame.resize((factor * frame.width, factor * frame.height), Image.Resampling.NEAREST) for frame in frames]
    durations = [milliseconds] * len(frames)
    durations[0] = durations[-1] = 8 * milliseconds
    if there_and_back:
        frames, durations = frames + frames[-2:0:-1], durations + durations[-2:0:-1]
    settings = {"format": suffix[1:].upper(), "save_all": True, "append_images": frames[1:], "loop": 0}
    if suffix == ".webp":
        information = Image.Exif()
        information[ExifTags.Base.Software] = config.PROGRAM
        settings |= {"lossless": True, "exact": True, "exif": information}
    else:
        settings |= {"disposal": 1, "optimize": False, "comment": config.PROGRAM.encode()}
    if suffix == ".gif" and images.shape[3] == 4:
        return _write(path, _gif_with_holes(frames, durations))
    _write(path, lambda file: frames[0].save(file, duration=durations, **settings))


def _gif_with_holes(frames, durations):
    """Returns the bytes of an endless GIF whose colour 255 is transparent.

    Frame by frame: `save` cuts edges off that have the colour behind the holes, and writes no frame of holes alone.
    """
    parts = GifImagePlugin.getheader(frames[0], info={"loop": 0, "comment": config.PROGRAM.encode()})[0]
    # Each frame is cleared before the next one (disposal 2), which would else show it through its holes.
    for frame, time in zip(frames, durations, strict=True):
        parts += GifImagePlugin.getdata(frame, duration=time, disposal=2, transparency=255, include_color_table=True)
    return b"".join([*parts, b";"])


def _of_palette(image):
    """Returns an image [H, W, C] with 256 colours of its own, the last of which is transparent where C is 4.

    They are chosen before enlarging, and without dithering: its dots would be as large as pixels.
    """
    settings = {"method": Image.Quantize.MEDIANCUT, "dither": Image.Dither.NONE}
    if image.shape[2] == 3:
        return Image.fromarray(image).quantize(256, **settings)
    shown = image[..., 3] >= 128  # A GIF has no half transparent pixels.
    indices, palette = np.full(shown.shape, 255, np.uint8), []
    if shown.any():
        few = Image.fromarray(image[shown][None, :, :3]).quantize(255, **settings)
        indices[shown], palette = np.asarray(few)[0], few.getpalette()
    frame = Image.fromarray(indices)
    frame.putpalette((palette + [0] * 768)[:768])
    return frame


def _running_mean(values, window):
    """Returns the mean of each value and its neighbours on both sides, `window` in all (fewer at the ends), [N]."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    here = np.arange(len(values))
    left = np.minimum(window // 2, here)
    right = np.minimum(left, here[::-1])  # Never further than to the left: the steep start would be seen too low.
    return (sums[here + right + 1] - sums[here - left]) / (left + right + 1)


def learning_curve(losses, path, validation=None, steps_per_epoch=None, title="Learning curve"):
    """Writes the loss of each batch as a PNG: a light line (dots where they are many), a running mean, and validation.

    The axis of the loss leaves out what only the first steps reach, else these would flatten all that follows.

    Args:
        losses: [steps] losses in nats per image, one a batch; values that are not finite are left out.
        path: The file.
        validation: [epochs] losses in nats per image after each epoch, or None; needs `steps_per_epoch`.
        steps_per_epoch: Batches in an epoch, for a second axis in epochs, or None.
        title: What stands above.
    """
    from matplotlib import ticker  # Here because only training draws curves, and the import takes half a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses = np.asarray(losses, np.float64).reshape(-1)
    finite = np.isfinite(losses)
    steps, losses = np.arange(1, len(losses) + 1)[finite], losses[finite]
    if not len(losses):
        raise ValueError("Expected at least one finite loss, got none.")
    window = int(np.clip(len(losses) // 50, min(5, len(losses)), 2000))
    means = _running_mean(losses, window)
    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if len(losses) <= 3000:
        axes.plot(steps, losses, color="#9ecae1", linewidth=0.8, label="each batch")
    else:  # A line through many batches is a solid block; dots still show where most of them are.
        faint = float(np.clip(12_000 / len(losses), 0.25, 1))
        axes.plot(steps, losses, ".", color="#6baed6", markersize=2, markeredgewidth=0, alpha=faint)
        axes.plot([], [], ".", color="#6baed6", label="each batch")
    axes.plot(steps, means, color="#08519c", linewidth=1.8, label=f"mean of {window:,} batches")
    low, high = np.quantile(losses, [0.002, 0.96])
    high = max(high, np.quantile(means, 0.97))
    if validation is not None and steps_per_epoch:
        validation = np.asarray(validation, np.float64).reshape(-1)
        ends = steps_per_epoch * np.arange(1, len(validation) + 1)
        axes.plot(ends, validation, "o-", color="#d94801", markersize=4, linewidth=1.0, label="validation")
        seen = validation[np.isfinite(validation)]
        if len(seen):
            low, high = min(low, seen.min()), max(high, np.quantile(seen, 0.9))
    margin = 0.06 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(0, max(steps[-1], 2))
    axes.set_title(title, loc="left", fontsize=12, pad=10)
    axes.set_xlabel("batches")
    axes.set_ylabel("loss (nats per image)")
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
    if steps_per_epoch and steps[-1] >= 2 * steps_per_epoch:
        top = axes.secondary_xaxis("top", functions=(lambda x: x / steps_per_epoch, lambda x: x * steps_per_epoch))
        top.set_xlabel("epochs")
        top.xaxis.set_major_locator(ticker.MaxNLocator(10, integer=True))
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    _write(path, lambda file: figure.savefig(file, format="png", metadata={"Software": config.PROGRAM}))
