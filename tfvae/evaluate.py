"""Measures an export on held-out images: `python -m tfvae.evaluate --std=0.8`.

Likelihood, reconstructions, samples and walks; where the data has attributes, by them too. Everything comes from the
SavedModel and its data. --output is a folder: evaluation.json, pictures, and report.html, a page that holds it all.
The first evaluation on a data set trains the classifier that reads attributes; --reader_only does just that.
"""

from tfvae import commandline, config, outputs


def main(settings, _):
    if settings.output and not settings.reader_only:
        outputs.check_folder(settings.output, settings.overwrite)
    from tfvae import evaluation  # Here: it takes seconds, which --help and mistakes need not wait for.

    evaluation.evaluate(settings)


if __name__ == "__main__":
    commandline.run(config.EvaluateConfig, main)
