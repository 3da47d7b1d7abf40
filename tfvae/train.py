"""Trains a VAE on images and exports it: `python -m tfvae.train --data=FOLDER --epochs=50 --lr=1e-4`.

Everything about the run is in runs/NAME/, the exported model in saved_models/NAME/VERSION/.
"""

from tfvae import commandline, config


def main(settings, files):
    del files
    from tfvae import training

    if training.fit(settings) is None:
        raise KeyboardInterrupt


if __name__ == "__main__":
    commandline.run(config.TrainConfig, main)
