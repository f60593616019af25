"""Image files to square uint8 tensors."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

# CLIP's mean colour, the padding of LLaVA and Eagle.
PADDING = (122, 116, 104)


def load_image(path: Path, side: int) -> Tensor:
    """Load an image, pad it to a centred square and resize it once; returns uint8 [3, side, side].

    Raises:
        UNREADABLE: the file cannot be read or decoded.
    """
    with Image.open(path) as opened:
        return pad_and_resize(opened, side)


def pad_and_resize(image: Image.Image, side: int) -> Tensor:
    """Pad an image to a centred square and resize it once, bicubically; returns uint8 [3, side, side]."""
    image = image.convert("RGB")
    longest = max(image.size)
    if image.width != image.height:
        canvas = Image.new("RGB", (longest, longest), PADDING)
        canvas.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
        image = canvas
    if longest != side:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


class ImageReader:
    """Calls `load_image` with a fixed side, and caches decoded images.

    Args:
        side: side of the images in pixels.
        megabytes: size of the cache in MiB; the least recently used images are dropped first.
    """

    def __init__(self, side: int, megabytes: int) -> None:
        self.side = side
        images = megabytes * 2**20 // (3 * side * side)
        self._load = lru_cache(maxsize=images)(load_image)

    def __call__(self, path: Path) -> Tensor:
        return self._load(path, self.side)
