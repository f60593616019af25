"""One picture, stored in every kind of image file."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

# Dark left, light right, with a black corner at the top left: no two turns or mirror images of it are equal.
_RAMP = np.tile(np.linspace(20, 235, 96).astype(np.uint8), (64, 1))
_RAMP[:16, :16] = 0
GREY = Image.fromarray(_RAMP)
COLOUR = Image.merge("RGB", (GREY, Image.new("L", GREY.size, 90), GREY.transpose(Image.Transpose.FLIP_TOP_BOTTOM)))
INK_ON_PAPER = Image.fromarray(np.where(_RAMP[..., None] < 1, 0, np.full(3, 255)).astype(np.uint8))
LEFT_UP = Image.Transpose.ROTATE_90  # how a camera stores a picture that EXIF orientation 6 turns upright

Writer = Callable[[Path], Any]


def with_orientation(orientation: int) -> Image.Exif:
    """EXIF data with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def save_white_is_zero(path: Path) -> None:
    """A TIFF of 16 bits where 0 is white."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray(65535 - _RAMP.astype(np.uint16) * 257).save(path, tiffinfo=tags)


def save_animation(path: Path) -> None:
    """The picture, followed by a black frame."""
    COLOUR.save(path, save_all=True, append_images=[Image.new("RGB", COLOUR.size)])


def transparent_around(ink: Image.Image, mode: str) -> Image.Image:
    """Black ink on nothing: every pixel black, transparent but where the picture is black."""
    alpha = ink.convert("L").point(lambda value: 255 - value)
    return Image.merge("RGBA" if mode == "RGBA" else "LA", (*([Image.new("L", ink.size)] * (len(mode) - 1)), alpha))


GREY_FILES: dict[str, Writer] = {
    "grey8.png": GREY.save,
    "grey16.png": lambda path: Image.fromarray(_RAMP.astype(np.uint16) * 257).save(path),
    "grey16.tif": lambda path: Image.fromarray(_RAMP.astype(np.uint16) * 257).save(path),
    "grey16.pgm": lambda path: Image.fromarray(_RAMP.astype(np.uint16) * 257).save(path),
    "white_is_zero.tif": save_white_is_zero,
    "int32_of_8_bits.tif": lambda path: Image.fromarray(_RAMP.astype(np.int32)).save(path),
    "int32_of_16_bits.tif": lambda path: Image.fromarray(_RAMP.astype(np.int32) * 257).save(path),
    "float_of_1.tif": lambda path: Image.fromarray(_RAMP.astype(np.float32) / 255).save(path),
    "float_of_255.tif": lambda path: Image.fromarray(_RAMP.astype(np.float32)).save(path),
}
COLOUR_FILES: dict[str, Writer] = {
    "plain.png": COLOUR.save,
    "plain.bmp": COLOUR.save,
    "plain.tif": COLOUR.save,
    "plain.ppm": COLOUR.save,
    "plain.webp": lambda path: COLOUR.save(path, lossless=True),
    "plain.jpg": lambda path: COLOUR.save(path, quality=95, subsampling=0),
    "plain.avif": lambda path: COLOUR.save(path, quality=95, subsampling="4:4:4"),
    "plain.jp2": COLOUR.save,
    "UPPER.PNG": lambda path: COLOUR.save(path, "PNG"),
    "two_pictures.jpg": lambda path: COLOUR.save(  # as phones save them
        path, "MPO", save_all=True, append_images=[Image.new("RGB", COLOUR.size)], quality=95, subsampling=0
    ),
    "jpeg_named.png": lambda path: COLOUR.save(path, "JPEG", quality=95, subsampling=0),
    "cmyk.jpg": lambda path: COLOUR.convert("CMYK").save(path, quality=95, subsampling=0),
    "palette.png": lambda path: COLOUR.quantize(256).save(path),
    "animation.gif": save_animation,
    "animation.webp": lambda path: COLOUR.save(
        path, save_all=True, append_images=[Image.new("RGB", COLOUR.size)], lossless=True
    ),
    "animation.png": save_animation,
    "pages.tif": save_animation,
    "opaque.png": lambda path: COLOUR.convert("RGBA").save(path),
    "turned.jpg": lambda path: COLOUR.transpose(LEFT_UP).save(
        path, quality=95, subsampling=0, exif=with_orientation(6)
    ),
    "turned.png": lambda path: COLOUR.transpose(LEFT_UP).save(path, exif=with_orientation(6)),
    "turned.webp": lambda path: COLOUR.transpose(LEFT_UP).save(path, exif=with_orientation(6), lossless=True),
    "turned.tif": lambda path: COLOUR.transpose(LEFT_UP).save(path, exif=with_orientation(6)),
}
INK_FILES: dict[str, Writer] = {
    "one_bit.png": lambda path: INK_ON_PAPER.convert("1").save(path),
    "formula_rgba.png": transparent_around(INK_ON_PAPER, "RGBA").save,
    "formula_rgba.webp": lambda path: transparent_around(INK_ON_PAPER, "RGBA").save(path, lossless=True, exact=True),
    "formula_rgba.tif": transparent_around(INK_ON_PAPER, "RGBA").save,
    "formula_grey.png": transparent_around(INK_ON_PAPER, "LA").save,
    "transparent_palette.png": lambda path: INK_ON_PAPER.quantize(2).save(path, transparency=_paper_index()),
    "transparent_palette.gif": lambda path: INK_ON_PAPER.quantize(2).save(path, transparency=_paper_index()),
    "transparent_colour.png": lambda path: _red_paper("RGB").save(path, transparency=(255, 0, 0)),
    "transparent_grey.png": lambda path: _red_paper("L").save(path, transparency=76),
    "transparent_grey16.png": lambda path: _grey16_paper().save(path, transparency=999),
}


def _paper_index() -> int:
    """The index of white in the palette of `INK_ON_PAPER.quantize(2)`."""
    return int(INK_ON_PAPER.quantize(2).getpixel((95, 63)))  # type: ignore[arg-type]


def _red_paper(mode: str) -> Image.Image:
    """Black ink on a paper of one colour, red, which is 76 as grey."""
    paper = Image.new("RGB", INK_ON_PAPER.size, "red")
    paper.paste((0, 0, 0), mask=INK_ON_PAPER.convert("L").point(lambda value: 255 - value))
    return paper.convert(mode)


def _grey16_paper() -> Image.Image:
    """Black ink on dark grey, with 16 bits."""
    return Image.fromarray(np.where(_RAMP == 0, 0, 999).astype(np.uint16))


PICTURES = {
    **{name: (writer, GREY.convert("RGB")) for name, writer in GREY_FILES.items()},
    **{name: (writer, COLOUR) for name, writer in COLOUR_FILES.items()},
    **{name: (writer, INK_ON_PAPER) for name, writer in INK_FILES.items()},
}


def write_picture(folder: Path, name: str) -> tuple[Path, Image.Image]:
    """Write a file of `PICTURES`; the file, and what a person sees in it."""
    writer, seen = PICTURES[name]
    writer(folder / name)
    return folder / name, seen


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two images in grey levels; 255 if their sizes differ."""
    if one.size != other.size:
        return 255.0
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean())
