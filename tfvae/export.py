"""Exports a run's last checkpoint again: `python -m tfvae.export --name=avatars`."""

from tfvae import commandline, config


def main(settings, _):
    from tfvae.training import export_run

    print(f"Exported: {export_run(settings)}")


if __name__ == "__main__":
    commandline.run(config.ExportConfig, main)
