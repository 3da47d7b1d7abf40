"""Walks from image to image: `python -m tfvae.interpolate A B`, or `A B C ...` for a tour through any number of them.

--steps are the images from each one to the next, both included; what two walks share is there once. Without files, two
of the export's test images are taken. --output=NAME.png (walk.png where nothing is said) is one strip, in which each
walk begins a line, with the animation NAME.gif beside it; any other output is a folder of single files with the
animation in it. Of a model of --channels=4, a GIF shows the pixels that are half opaque or more, --animation=webp all.
"""

import itertools

from tfvae import commandline, config, outputs


def main(settings, files):
    if len(files) == 1:
        raise config.UserError(f"Expected two images or more, or none, got one: {files[0]}")
    output = outputs.check(settings.output or "walk.png", settings.overwrite)
    single = not outputs.is_picture(output)
    animation = (output / "walk.png" if single else output).with_suffix(f".{settings.animation}")
    if settings.animation != "none":
        outputs.refuse_existing(animation, settings.overwrite)
    outputs.check_inputs(files)
    import numpy as np
    import tqdm

    from tfvae import pictures, serving

    served = serving.open_export(settings)
    if not files:
        kept = served.test_images()
        files = kept[:: max(1, len(kept) // 2)][:2]  # They are as the split is, which may be sorted.
    if len(files) < 2:
        raise config.UserError(f"--model: {served.path} came without test images; name two files or more.")
    if not single:
        outputs.check_size((len(files) - 1) * (settings.steps - 1) + 1, served.image_shape)
    pairs = list(itertools.pairwise([served.read(file) for file in files]))
    hidden = None if len(pairs) > 1 else True  # None: only where there is no terminal.
    with tqdm.tqdm(pairs, unit="walk", disable=hidden) as progress:
        walks = [served.walk(start, end, settings.steps, *settings.way) for start, end in progress]
    walks = [*(walk[:-1] for walk in walks[:-1]), walks[-1]]  # The next walk begins with the end of the one before.
    tour = np.concatenate(walks)
    with outputs.reporting(output):
        if single:
            for number, image in enumerate(tour):
                pictures.save(pictures.single(image), output / f"{number:05d}.png")
        else:
            pictures.save(pictures.strip(*walks), output)
        if settings.animation != "none":
            pictures.animation(tour, animation)
    print(f"{len(tour)} images from {served.path}: {output}", *[animation] * (settings.animation != "none"))
    if single:
        outputs.tell_older(output, [animation.name, *(f"{number:05d}.png" for number in range(len(tour)))])


if __name__ == "__main__":
    commandline.run(config.InterpolateConfig, main, files=(0, None))
