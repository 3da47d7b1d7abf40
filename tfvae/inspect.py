"""Shows what a model would see of your images: `python -m tfvae.inspect --data=FOLDER`.

Prints what was found in the data: numbers of images by split and label, sizes, values, copies, and what is left out and
why. --output (inspect.png) is a sheet of images of each split, as the model sees them: cropped, resized, on their
background (transparency on a checkerboard). Nothing is trained, and nothing else is written.
"""

import dataclasses

from tfvae import commandline, config, outputs

_MOST, _COLUMNS = 48, 12  # Images of a split.
_TITLE = 28  # Pixels of height.
_SQUARE = 12  # Of the checkerboard, pixels.


def main(settings, _):
    output = outputs.check(settings.output, settings.overwrite)
    if not outputs.is_picture(output):
        raise config.UserError(f"--output must end in .png, got {settings.output}.")
    from tfvae import data, pictures

    images = data.load(dataclasses.replace(settings, batch_size=1))
    report = images.report
    print("\n".join(report.lines()))
    low, median, high = report.aspects
    print(f"width / height: {low:.2f} to {high:.2f}, median {median:.2f}")
    _print_labels(report)
    with outputs.reporting(output):
        pictures.save(_sheet(images), output)
    print(f"Images as the model sees them: {output}")


def _print_labels(report):
    """Prints a table for each attribute: its values and their numbers of images by split."""
    for name, values in report.labels.items():
        width = max(len(word) for word in (name, *values))
        print(f"{name:{width}} " + " ".join(f"{split:>10}" for split in report.counts))
        for value, counts in values.items():
            print(f"{value:{width}} " + " ".join(f"{count:10,}" for count in counts))


def _sheet(images):
    """Returns a picture uint8 [height, width, 3]: under the name of each split, images evenly over it."""
    import numpy as np
    from PIL import Image, ImageDraw

    from tfvae import pictures

    parts = []
    for split, count in images.report.counts.items():
        numbers = images.spread(split, _MOST)
        shown = images.images(split, numbers)
        # Filled up to a whole row, for few images would be drawn larger than many.
        filler = np.full((-len(shown) % _COLUMNS, *shown.shape[1:]), 0 if shown.shape[-1] == 4 else 255, np.uint8)
        picture = _on_checkerboard(pictures.grid(np.concatenate([shown, filler]), _COLUMNS))
        title = Image.new("RGB", (max(picture.shape[1], 360), _TITLE), "white")
        words = f"{split}: {count:,} images" + (f", {len(numbers)} of them" if len(numbers) < count else "")
        ImageDraw.Draw(title).text((6, 6), words, "black", font_size=16)
        parts += [np.asarray(title), picture]
    width = max(part.shape[1] for part in parts)
    padded = [np.pad(part, [[0, 0], [0, width - part.shape[1]], [0, 0]], constant_values=255) for part in parts]
    return np.concatenate(padded)


def _on_checkerboard(picture):
    """Returns a picture uint8 [height, width, 3 or 4] without transparency."""
    import numpy as np

    if picture.shape[2] == 3:
        return picture
    rows, columns = (np.arange(length) // _SQUARE for length in picture.shape[:2])
    board = np.where((rows[:, None] + columns) % 2, 200, 235)[..., None]
    alpha = picture[..., 3:] / 255
    return np.rint(picture[..., :3] * alpha + board * (1 - alpha)).astype(np.uint8)


if __name__ == "__main__":
    commandline.run(config.InspectConfig, main)
