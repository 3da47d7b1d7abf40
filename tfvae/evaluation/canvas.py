"""Drawings brought to the size, the background and the channels of a model's images, as the data pipeline does.

NumPy alone: nothing here imports TensorFlow.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

_LUMA = np.float32([0.299, 0.587, 0.114])  # ITU-R BT.601.


class Canvas(NamedTuple):
    """What a model's images are like."""

    height: int
    width: int
    channels: int
    fit: str  # "crop", "pad" or "stretch".
    background: tuple  # (red, green, blue), 0 to 255.

    @property
    def size(self):
        """Height and width at which avatars are drawn."""
        return max(self.height, self.width)

    def blank(self):
        """Returns the background alone, float32 [H, W, 3] in 0 to 255."""
        return np.broadcast_to(np.float32(self.background), (self.height, self.width, 3))

    def bring(self, rgba):
        """Returns a drawing as float32 [H, W, 4]: colours in 0 to 255 times alpha in [0, 1], and alpha.

        Args:
            rgba: uint8 [size, size, 4].
        """
        alpha = rgba[..., 3:].astype(np.float32) / 255
        image = np.concatenate([rgba[..., :3] * alpha, alpha], axis=-1)
        if self.height == self.width:
            return image
        if self.fit == "crop":
            top, left = (self.size - self.height) // 2, (self.size - self.width) // 2
            return image[top : top + self.height, left : left + self.width]
        if self.fit == "stretch":
            return _resized(image, self.height, self.width)
        side = min(self.height, self.width)
        padded = np.zeros([self.height, self.width, 4], np.float32)
        top, left = (self.height - side) // 2, (self.width - side) // 2
        padded[top : top + side, left : left + side] = _resized(image, side, side)
        return padded

    def channelled(self, rgb):
        """Returns [H, W, C] of [H, W, 3]."""
        return rgb if self.channels == 3 else (rgb @ _LUMA)[..., None]

    def finished(self, image):
        """Returns the uint8 [H, W, C] that the pipeline makes of a drawing that `bring` returned."""
        image = self.channelled(image[..., :3] + np.float32(self.background) * (1 - image[..., 3:]))
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _resized(image, height, width):
    planes = [
        Image.fromarray(np.ascontiguousarray(plane), "F").resize((width, height), Image.Resampling.BILINEAR)
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
