"""Shows originals above their reconstructions: `python -m tfvae.reconstruct FILE_OR_FOLDER...`.

A folder stands for all images below it; those that cannot be read are left out, with a warning. Where nothing is named,
the export's own test images are taken. --output=NAME.png (reconstructions.png where nothing is said) is one picture;
any other output is a folder of single files. Errors are on pixels in [0, 1], after the preparing that the model was
trained with; the squared error is summed over pixels and channels. With --channels=4, colours are multiplied by alpha.
"""

import math
import os
import pathlib
import warnings
from typing import NamedTuple

from tfvae import commandline, config, outputs

_TEST_IMAGES = 15
_COLUMNS = 10
_AT_ONCE = 64  # Images that are read before they are reconstructed; more than that have a progress bar.


class _Input(NamedTuple):
    """An image file, as named or from a folder that was named."""

    path: str
    shown: str  # Its name in what is printed.
    required: bool  # Whether it was named itself.


def main(settings, files):
    output = outputs.check(settings.output or "reconstructions.png", settings.overwrite)
    outputs.check_inputs(files, folders=True)
    inputs = _inputs(files)
    import numpy as np
    import tqdm

    from tfvae import pictures, serving

    served = serving.open_export(settings)
    inputs = inputs or _inputs(served.test_images()[:_TEST_IMAGES])
    if not inputs:
        raise config.UserError(f"--model: {served.path} came without test images; name the files to reconstruct.")
    is_picture = outputs.is_picture(output)
    if is_picture:
        outputs.check_size(2 * len(inputs), served.image_shape)
    names, pairs, errors, unread = _names(inputs), [], [], []
    with outputs.reporting(output):
        for number, original, reconstruction in _reconstructed(served, inputs, unread):
            errors.append(np.square(original - reconstruction, dtype=np.float64).sum())
            tqdm.tqdm.write(f"{inputs[number].shown}: {_words(errors[-1], served.image_shape)}")
            if is_picture:
                pairs.append((original, reconstruction))
            else:
                pictures.save(pictures.single(reconstruction), output / names[number])
        _report(unread, len(inputs))
        if is_picture:
            columns = math.ceil(len(pairs) / math.ceil(len(pairs) / _COLUMNS))
            pictures.save(pictures.rows(zip(*pairs, strict=True), columns), output)
    print(f"all {len(errors)}: {_words(np.mean(errors), served.image_shape)}")
    print(f"Reconstructions from {served.path}: {output}")
    left_out = set(unread)
    outputs.tell_older(output, [name for name, one in zip(names, inputs, strict=True) if one not in left_out])


def _inputs(files):
    """Returns the `_Input`s that files and folders stand for."""
    found = []
    for file in files:
        if os.path.isdir(file):
            from tfvae.data import folders

            inside = folders.image_files(file)
            if not inside:
                raise config.UserError(f"{file}: expected images in this folder, got none.")
            found += [_Input(path, os.path.relpath(path, file), False) for path in inside]
        else:
            found.append(_Input(file, pathlib.Path(file).name, True))
    return found


def _reconstructed(served, inputs, unread):
    """Yields (number of the input, what the model sees of it, its reconstruction), both [H, W, C].

    Args:
        served: A `serving.Served`.
        inputs: List of `_Input`.
        unread: A list, to which this adds the inputs of folders that cannot be read.

    Raises:
        UserError: If an input that was named itself cannot be read.
    """
    import numpy as np
    import tqdm

    hidden = None if len(inputs) > _AT_ONCE else True  # None: only where there is no terminal.
    with tqdm.tqdm(total=len(inputs), unit="image", disable=hidden) as progress:
        for start in range(0, len(inputs), _AT_ONCE):
            originals = {}
            for number, one in enumerate(inputs[start : start + _AT_ONCE], start):
                try:
                    originals[number] = served.read(one.path)
                except config.UserError:
                    if one.required:
                        raise
                    unread.append(one)
                progress.update()
            if originals:
                reconstructions = served.reconstruct(np.stack(list(originals.values())))
                yield from zip(originals, originals.values(), reconstructions, strict=True)


def _report(unread, number):
    """Names what could not be read, of `number` images, in one warning; raises UserError where that is all of them."""
    from tfvae.data import source

    names = source.named([one.shown for one in unread])
    if len(unread) == number:
        raise config.UserError(f"Expected images that can be read, got {number:,} that cannot: {names}.")
    if unread:
        warnings.warn(f"{len(unread):,} of {number:,} images cannot be read and are left out: {names}.", stacklevel=2)


def _words(squared_error, image_shape):
    from tfvae.evaluation.reconstruction import psnr

    return f"squared error {squared_error:.2f}, PSNR {psnr(squared_error / math.prod(image_shape)):.2f} dB"


def _names(inputs):
    """Returns a PNG's name for each input: its own, or with a number where that is taken."""
    names, numbers = {}, {}  # Dictionaries, for a folder may hold many files of one name.
    for one in inputs:
        stem = pathlib.Path(one.path).stem
        name = f"{stem}.png"
        while name in names:
            numbers[stem] = numbers.get(stem, 1) + 1
            name = f"{stem}-{numbers[stem]}.png"
        names[name] = one
    return list(names)


if __name__ == "__main__":
    commandline.run(config.ReconstructConfig, main, files=(0, None))
