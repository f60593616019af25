"""The only place that opens images: from a file, bytes or a Pillow image to the 8-bit RGB that a person sees."""

import threading
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from eaglebench.data.rgb import to_rgb
from eaglebench.data.unreadable import UnreadableImage
from eaglebench.utils.errors import first_line

MAX_PIXELS = 178_956_970  # of one image; where Pillow sees a decompression bomb
# Formats of pixels. Pillow reads others too, and hands one of them (EPS) to a program that runs what the file says.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
# How a stored image is turned upright, by its EXIF orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW_LIMIT = threading.Lock()

ImageSource = str | Path | bytes | Image.Image


def open_image(source: ImageSource, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """An image as 8-bit RGB, upright by its EXIF orientation, transparency on white, the first frame of an animation.

    Args:
        source: a file, the bytes of one, or a Pillow image, which is not changed.
        max_pixels: most pixels that are decoded; None: any number, for images that were decoded before.

    Raises:
        UnreadableImage: it cannot be read or decoded to its last pixel, or has more pixels.
    """
    return _open(source, max_pixels, None)


def open_thumbnail(source: ImageSource, side: int, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """An image as `open_image` gives it, shrunk to at most `side` pixels a side.

    Large photographs are decoded at a fraction of their size, so that pixels are near those of `open_image`, not equal.

    Raises:
        UnreadableImage: as `open_image`.
    """
    image = _open(source, max_pixels, side)
    image = image.copy() if image is source else image
    image.thumbnail((side, side))
    return image


def _open(source: ImageSource, max_pixels: int | None, draft_side: int | None) -> Image.Image:
    try:
        if isinstance(source, Image.Image):
            return _decode(source, max_pixels, draft_side)
        with _open_file(BytesIO(source) if isinstance(source, bytes) else Path(source)) as image:
            return _decode(image, max_pixels, draft_side)
    except UnreadableImage:
        raise
    except Exception as error:  # a damaged file leads decoders into errors of every kind
        raise UnreadableImage(_explain(source, error)) from error


def _open_file(file: BytesIO | Path) -> Image.Image:
    """Open a file without Pillow's own limit, a constant of the process; ours is checked before anything is decoded."""
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decode(image: Image.Image, max_pixels: int | None, draft_side: int | None) -> Image.Image:
    width, height = image.size
    if not width * height:
        raise UnreadableImage(f"its size is {width} x {height}, no pixel")
    if max_pixels is not None and width * height > max_pixels:
        raise UnreadableImage(
            f"it has {width:,} x {height:,} pixels, more than data.max_pixels={max_pixels}: "
            "shrink it, or raise that field"
        )
    if draft_side is not None:
        image.draft(image.mode, (draft_side, draft_side))
    image.load()
    orientation = _read_orientation(image)  # after loading: a TIFF is turned upright by Pillow itself
    image = to_rgb(image)
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
        image.info.clear()  # a copy, whose EXIF data would turn the image again where it is opened again
    return image


def _read_orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF data hides no pixel: as in any viewer, the image is shown as it is stored
        return None


def _explain(source: ImageSource, error: Exception) -> str:
    """Why an image cannot be read, as a clause."""
    if isinstance(error, UnidentifiedImageError):
        empty = not source if isinstance(source, bytes) else not Path(str(source)).stat().st_size
        return "it is empty" if empty else f"it is in none of the formats {', '.join(FORMATS)}"
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
