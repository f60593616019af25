"""Image files to square uint8 tensors."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

# CLIP's mean colour, which LLaVA and Eagle pad with.
PADDING = (122, 116, 104)

# What Pillow raises for a file that it cannot decode.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def load_image(path: Path, side: int) -> Tensor:
    """The image padded to a centred square and resized once to `side`: uint8 [3, side, side].

    Raises:
        UNREADABLE: the file cannot be read or decoded.
    """
    with Image.open(path) as opened:
        return square(opened, side)


def square(image: Image.Image, side: int) -> Tensor:
    """An image padded to a centred square and resized once to `side`: uint8 [3, side, side]."""
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
    """`load_image` at one side, remembering as many small images as fit in `megabytes`."""

    def __init__(self, side: int, megabytes: int) -> None:
        self.side = side
        remembered = megabytes * 2**20 // (3 * side * side)
        self._load = lru_cache(maxsize=remembered)(load_image)

    def __call__(self, path: Path) -> Tensor:
        return self._load(path, self.side)
