"""Images of any shape as squares: padded, squashed or cropped. Memory is in proportion to the image and the square."""

import math
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from eaglebench.data.open_image import MAX_PIXELS

Shape = Literal["pad", "squash", "crop"]

# CLIP's mean colour, the padding of LLaVA and Eagle.
PADDING = (122, 116, 104)
SUPPORT = 2  # pixels on either side of a point that bicubic interpolation reads, at the coarser of the two scales


@dataclass(frozen=True)
class ImageSettings:
    """How images become squares.

    Attributes:
        shape: what is done to images that are not square, see `make_square`.
        max_pixels: most pixels of an image; larger ones are refused.
    """

    shape: Shape = "pad"
    max_pixels: int = MAX_PIXELS


def make_square(image: Image.Image, side: int, shape: Shape) -> Image.Image:
    """An RGB image as a square of `side` pixels, resized once, bicubically with antialiasing.

    - `pad`: the longer side is resized to `side`, and the image is centred between bars of `PADDING` (LLaVA, Eagle).
      However long an image is, its shorter side keeps a pixel.
    - `squash`: both sides are resized to `side`.
    - `crop`: the shorter side is resized to `side`, and the centre is kept (CLIP).

    A square image is the same in all three.
    """
    if shape == "pad":
        return pad(image, side)
    if shape == "squash":
        return squash(image, side)
    return crop(image, side)


def pad(image: Image.Image, side: int) -> Image.Image:
    """Resize the longer side to `side`, and centre the image on a padded square."""
    longest = max(image.size)
    width, height = (max(1, round(length * side / longest)) for length in image.size)
    image = resize(image, (width, height))
    if width == height:
        return image
    square = Image.new("RGB", (side, side), PADDING)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def squash(image: Image.Image, side: int) -> Image.Image:
    """Resize both sides to `side`."""
    if image.width < side < image.height:
        # Pillow resizes the width first: of 1 x 1,000,000 pixels it would make `side` x 1,000,000.
        image = resize(image, (image.width, side))
    return resize(image, (side, side))


def crop(image: Image.Image, side: int) -> Image.Image:
    """Resize the shorter side to `side`, and keep the centre; only what is kept is resized.

    Sizes and offsets are rounded as torchvision's `Resize` and `CenterCrop` do.
    """
    shortest = min(image.size)
    kept, box = [], []
    for length in image.size:
        resized = int(side * length / shortest)
        offset = round((resized - side) / 2)
        scale = length / resized
        start, end = offset * scale, (offset + side) * scale
        # Pillow takes boxes in single precision: near the start of the image, not thousands of pixels into it.
        margin = math.ceil(SUPPORT * max(scale, 1)) + 1
        first = max(math.floor(start) - margin, 0)
        kept.append((first, min(math.ceil(end) + margin, length)))
        box.append((start - first, min(end, length) - first))
    (left, right), (top, bottom) = kept
    near = Image.new("RGB", (right - left, bottom - top))
    near.paste(image, (-left, -top))
    return resize(near, (side, side), (box[0][0], box[1][0], box[0][1], box[1][1]))


def resize(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Resize an image, or the part of it in a box (left, top, right, bottom), bicubically with antialiasing."""
    return image.resize(size, Image.Resampling.BICUBIC, box=box)
