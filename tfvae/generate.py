"""Draws new images from an export: `python -m tfvae.generate --num_images=64 --std=0.8`.

--output=NAME.png (samples.png where nothing is said) is one grid; any other output is a folder of single files.
A model of --channels=4 draws with transparency.
"""

from tfvae import commandline, config, outputs

_AT_ONCE = 256  # Images between two steps of the progress bar.


def main(settings, _):
    output = outputs.check(settings.output or "samples.png", settings.overwrite)
    import tqdm

    from tfvae import pictures, serving  # Here: they take seconds, which --help and mistakes need not wait for.

    served = serving.open_export(settings)
    if outputs.is_picture(output):
        outputs.check_size(settings.num_images, served.image_shape)
        images, _ = served.generate(serving.seeds(settings.seed, 0, settings.num_images), settings.std)
        with outputs.reporting(output):
            pictures.save(pictures.grid(images), output)
    else:
        with outputs.reporting(output), tqdm.tqdm(total=settings.num_images, unit="image", disable=None) as progress:
            for start in range(0, settings.num_images, _AT_ONCE):
                stop = min(start + _AT_ONCE, settings.num_images)
                files, _ = served.generate_bytes(serving.seeds(settings.seed, start, stop), settings.std)
                for number, contents in enumerate(files, start):
                    pictures.save_png(contents, output / f"{number:05d}.png")
                progress.update(stop - start)
    print(f"{settings.num_images} new images from {served.path}: {output}")
    outputs.tell_older(output, [f"{number:05d}.png" for number in range(settings.num_images)])


if __name__ == "__main__":
    commandline.run(config.GenerateConfig, main)
