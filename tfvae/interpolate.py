"""Walks from one image to another: `python -m tfvae.interpolate A B`.

Without A and B, two of the export's test images are taken. --output=NAME.png (walk.png where nothing is said) is one
strip, with the animation NAME.gif beside it; any other output is a folder of single files with the animation in it.
"""

from tfvae import commandline, config, outputs


def main(settings, files):
    if len(files) == 1:
        raise config.UserError(f"Expected two images, A and B, or none, got one: {files[0]}")
    output = outputs.check(settings.output or "walk.png", settings.overwrite)
    single = not outputs.is_picture(output)
    animation = (output / "walk.png" if single else output).with_suffix(f".{settings.animation}")
    if settings.animation != "none":
        outputs.refuse_existing(animation, settings.overwrite)
    outputs.check_inputs(files)
    from tfvae import pictures, serving

    served = serving.open_export(settings)
    if not single:
        outputs.check_size(settings.steps, served.image_shape)
    if not files:
        kept = served.test_images()
        files = kept[:: max(1, len(kept) // 2)][:2]  # They are as the split is, which may be sorted.
    if len(files) < 2:
        raise config.UserError(f"--model: {served.path} came without test images; name two files, A and B.")
    start, end = (served.read(file) for file in files)
    walk = served.walk(start, end, settings.steps, *settings.way)
    with outputs.reporting(output):
        if single:
            for number, image in enumerate(walk):
                pictures.save(image, output / f"{number:05d}.png")
        else:
            pictures.save(pictures.strip(walk), output)
        if settings.animation != "none":
            pictures.animation(walk, animation)
    print(f"{settings.steps} images from {served.path}: {output}", *[animation] * (settings.animation != "none"))
    if single:
        outputs.tell_older(output, [animation.name, *(f"{number:05d}.png" for number in range(settings.steps))])


if __name__ == "__main__":
    commandline.run(config.InterpolateConfig, main, files=(0, 2))
