"""Shows originals above their reconstructions: `python -m tfvae.reconstruct FILE...`.

Without FILE, the export's own test images are taken. --output=NAME.png (reconstructions.png where nothing is said) is
one picture; any other output is a folder of single files. Errors are on pixels in [0, 1], after the preparing that
the model was trained with; the squared error is summed over pixels and channels.
"""

import math
import pathlib

from tfvae import commandline, config, outputs

_TEST_IMAGES = 15
_COLUMNS = 10


def main(settings, files):
    output = outputs.check(settings.output or "reconstructions.png", settings.overwrite)
    outputs.check_inputs(files)
    import numpy as np

    from tfvae import pictures, serving

    served = serving.open_export(settings)
    files = files or served.test_images()[:_TEST_IMAGES]
    if not files:
        raise config.UserError(f"--model: {served.path} came without test images; name the files to reconstruct.")
    if outputs.is_picture(output):
        outputs.check_size(2 * len(files), served.image_shape)
    originals = np.stack([served.read(file) for file in files])
    reconstructions = served.reconstruct(originals)
    for file, original, reconstruction in zip(files, originals, reconstructions, strict=True):
        print(f"{pathlib.Path(file).name}: {_errors(original, reconstruction)}")
    print(f"all {len(files)}: {_errors(originals, reconstructions)}")
    with outputs.reporting(output):
        if outputs.is_picture(output):
            columns = math.ceil(len(files) / math.ceil(len(files) / _COLUMNS))
            pictures.save(pictures.rows([originals, reconstructions], columns), output)
        else:
            for name, reconstruction in zip(_names(files), reconstructions, strict=True):
                pictures.save(reconstruction, output / name)
    print(f"Reconstructions from {served.path}: {output}")
    outputs.tell_older(output, _names(files))


def _errors(originals, reconstructions):
    """Returns the squared error per image and the PSNR, in words, of one or several images."""
    from tfvae.evaluation.reconstruction import psnr

    squares = (originals - reconstructions) ** 2
    per_image = squares.sum(axis=(-3, -2, -1)).mean()
    return f"squared error {per_image:.2f}, PSNR {psnr(squares.mean()):.2f} dB"


def _names(files):
    """Returns a PNG's name for each file: its own, or with a number where that is taken."""
    names = []
    for file in files:
        stem, number = pathlib.Path(file).stem, 1
        name = f"{stem}.png"
        while name in names:
            number += 1
            name = f"{stem}-{number}.png"
        names.append(name)
    return names


if __name__ == "__main__":
    commandline.run(config.ReconstructConfig, main, files=(0, None))
