"""How near a sample is to an avatar: the PSNR to its redrawing, the nearest avatar that the true renderer draws.

A perfect generator's sample is its own redrawing; no network of features flatters anyone.
"""

import numpy as np

from tfvae.evaluation import reconstruction

_SHARES = (20, 25)  # dB that are asked for.


def psnrs(images, analysis):
    """Returns the PSNR of each image [N, H, W, C] in [0, 1] to its redrawing, [N] dB: 100 for a true avatar."""
    return reconstruction.psnr(reconstruction.mean_squared_errors(images, analysis.redrawings / np.float32(255)))


def add(scene, put, images, analysis, read):
    """Adds how near samples are to avatars."""
    found, true = psnrs(images, analysis), psnrs(scene.other.images, read.other)
    words = "PSNR of each sample to its redrawing, the nearest avatar: median"
    put("redrawing_psnr", np.median(found), np.median(true), "dB", "higher", words)
    for least in _SHARES:
        shares = [(one >= least).mean() for one in (found, true)]
        put(f"redrawing_over_{least}", *shares, "", "higher", f"share of samples over {least} dB")
    rebuilt = np.median(psnrs(scene.other.reconstructions, read.reconstructions))
    words = "the same of reconstructions: as far as this decoder goes"
    put("redrawing_psnr_of_reconstructions", rebuilt, np.median(true), "dB", "higher", words)
