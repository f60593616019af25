"""Images to square uint8 tensors."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from eaglebench.data.open_image import ImageSource, open_image
from eaglebench.data.square import ImageSettings, make_square


def load_image(source: ImageSource, side: int, settings: ImageSettings) -> Tensor:
    """Open an image and make it a square; returns uint8 [3, side, side].

    Raises:
        UnreadableImage: it cannot be decoded, or is too large.
    """
    return to_tensor(make_square(open_image(source, settings.max_pixels), side, settings.shape))


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image as uint8 [3, H, W]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


class ImageReader:
    """Calls `load_image` with a fixed side, and caches decoded images.

    Args:
        side: side of the images in pixels.
        megabytes: size of the cache in MiB; the least recently used images are dropped first.
        settings: how images become squares.
    """

    def __init__(self, side: int, megabytes: int, settings: ImageSettings) -> None:
        self.side = side
        self.settings = settings
        images = megabytes * 2**20 // (3 * side * side)
        self._load = lru_cache(maxsize=images)(load_image)

    def __call__(self, path: Path) -> Tensor:
        return self._load(path, self.side, self.settings)
