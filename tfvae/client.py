"""Calls a served model: `python -m tfvae.client ACTION [FILE...]`, with TensorFlow Serving on the other side.

    generate                draws --num_images new images
    reconstruct FILE...     reconstructs image files
    interpolate A B         walks from image A to image B in --steps images, by the export's own path

PNG and JPEG files are sent as they are, images in other formats as PNG. --output=NAME.png (samples.png,
reconstructions.png or walk.png where nothing is said) is one picture; any other output is a folder of single files.
"""

import contextlib
import re

from tfvae import commandline, config, outputs, remote

_AT_ONCE = 32  # Images in one request: a batch of docs/serving/batching.config takes as many.
_PNG = b"\x89PNG\r\n\x1a\n"


def main(settings, arguments):
    action, *files = arguments
    if action not in _ACTIONS:
        raise config.UserError(f"Expected one of {', '.join(_ACTIONS)}, got {action!r}.")
    images_of, default, least, most = _ACTIONS[action]
    if len(files) < least or (most is not None and len(files) > most):
        raise config.UserError(f"Expected {least}{' or more' * (most is None)} files for {action}, got {len(files)}.")
    outputs.check_inputs(files)
    output = outputs.check(settings.output or default, settings.overwrite)
    server = remote.connect(settings.server, settings.name, settings.version, settings.timeout)
    images = images_of(server, settings, files)
    with outputs.reporting(output):
        if outputs.is_picture(output):
            _save(images, output, strip=action == "interpolate")
        else:
            from tfvae import pictures  # Here, for --help and mistakes need no Matplotlib.

            for number, contents in enumerate(images):
                pictures.save_png(contents, output / f"{number:05d}.png")
    print(f"{len(images)} images from {settings.server}, model {settings.name}: {output}")


def _generate(server, settings, _):
    images = []
    for start in range(0, settings.num_images, _AT_ONCE):
        seeds = [[settings.seed, number] for number in range(start, min(start + _AT_ONCE, settings.num_images))]
        images += _ask(server, "generate_bytes", "image_bytes", seed=seeds, std=[settings.std] * len(seeds))
    return images


def _reconstruct(server, settings, files):
    images = []
    for start in range(0, len(files), _AT_ONCE):
        some = files[start : start + _AT_ONCE]
        with _naming(some):
            images += _ask(server, "reconstruct_bytes", "reconstruction_bytes", image_bytes=_contents(some))
    return images


def _interpolate(server, settings, files):
    images = []
    start, end = _contents(files)
    weights = [step / (settings.steps - 1) for step in range(settings.steps)]
    for first in range(0, settings.steps, _AT_ONCE):
        some = weights[first : first + _AT_ONCE]
        ends = {"image_bytes_a": [start] * len(some), "image_bytes_b": [end] * len(some)}
        with _naming(files):
            images += _ask(server, "interpolate_bytes", "image_bytes", **ends, weight=some)
    return images


def _ask(server, signature, output, **inputs):
    """Returns the PNG files that a signature answers, one for each row of its inputs."""
    rows = len(next(iter(inputs.values())))
    images = server.call(signature, output, **inputs)
    if len(images) != rows or not all(isinstance(one, bytes) and one.startswith(_PNG) for one in images):
        raise config.UserError(f"--server: expected {rows} PNG files from {signature}, got something else.")
    return images


def _contents(files):
    from tfvae.data import decode

    return [decode.as_png_or_jpeg(file) for file in files]


@contextlib.contextmanager
def _naming(files):
    """Puts the file's name before a server's refusal that names the row, or the end of the walk."""
    try:
        yield
    except config.UserError as error:
        found = re.search(r"image_bytes(?:_([ab]))?\[(\d+)\]", str(error))
        number = found and ("ab".index(found[1]) if found[1] else int(found[2]))
        if number is None or number >= len(files):
            raise
        raise config.UserError(f"{files[number]}: {error}") from None


def _save(files, path, strip):
    from tfvae import pictures

    images = [pictures.from_png(contents) for contents in files]
    pictures.save(pictures.strip(images) if strip else pictures.grid(images), path)


# What draws the images, the output where none is named, and the least and largest number of files.
_ACTIONS = {
    "generate": (_generate, "samples.png", 0, 0),
    "reconstruct": (_reconstruct, "reconstructions.png", 1, None),
    "interpolate": (_interpolate, "walk.png", 2, 2),
}

if __name__ == "__main__":
    commandline.run(config.ClientConfig, main, files=(1, None))
