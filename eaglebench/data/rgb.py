"""Pixels of every kind as 8-bit RGB, as a person sees them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eaglebench.data.unreadable import UnreadableImage

PAPER = "white"  # behind transparent pixels: what viewers of documents show
# White in 32-bit integers and floats: the first of these that no pixel exceeds.
WHITES = (1, 255, 65535)
BLOCK = 2**20  # pixels that are scaled at once, to need little memory beside the image
# Tags of TIFF files.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, UNSIGNED = 0, 1


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded image as 8-bit RGB; one that is 8-bit RGB already is returned itself.

    - Transparent pixels are blended with white.
    - 16-bit grey is divided by 257, so that 65535 is white; 12-bit grey likewise.
    - 32-bit integers and floats: white is 1, 255 or 65535, the first that no pixel exceeds. Where a pixel is negative
      or above 65535, the smallest value is black and the largest white.
    - Palettes, CMYK and other colour spaces are converted by Pillow. Colour profiles are ignored.

    Raises:
        UnreadableImage: a pixel is not finite.
    """
    if image.mode[0] in "IF":
        image = reduce_depth(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, PAPER)
        paper.paste(image, mask=image)
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def reduce_depth(image: Image.Image) -> Image.Image:
    """A grey image of more than 8 bits as one of 8 bits; see `to_rgb`.

    Raises:
        UnreadableImage: a pixel is not finite.
    """
    tags = getattr(image, "tag_v2", {})
    values: NDArray[Any] = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnreadableImage("some of its pixels are not finite")
    if image.mode == "I" and tags.get(BITS) == (32,) and tags.get(SAMPLE_FORMAT, (UNSIGNED,)) == (UNSIGNED,):
        values = values.view(np.uint32)  # Pillow reads them as if they had a sign
    black, white = find_range(image, values, tags)
    grey = np.empty(values.shape, np.uint8)
    flat = grey.reshape(-1)
    for start in range(0, values.size, BLOCK):
        block = values.reshape(-1)[start : start + BLOCK].astype(np.float64)
        flat[start : start + BLOCK] = np.rint((block - black) * 255 / (white - black))
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        np.subtract(255, grey, out=grey)
    if "transparency" in image.info:  # of a PNG: the one value that is transparent
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)


def find_range(image: Image.Image, values: NDArray[Any], tags: Any) -> tuple[float, float]:
    """The values that are black and white in a grey image of more than 8 bits."""
    if image.mode != "I" and image.mode[0] == "I":
        return 0, 2 ** tags.get(BITS, (16,))[0] - 1
    if image.format in ("PNG", "PPM"):
        return 0, 65535  # some versions of Pillow keep 16 bits in 32
    low, high = float(values.min()), float(values.max())
    standard = next((white for white in WHITES if high <= white), None)
    if low < 0 or standard is None:
        return low, max(high, low + 1)
    return 0, standard
