"""What the renderers share: named colours, fonts, and the picture with its questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import matplotlib
from PIL import Image, ImageDraw, ImageFont

COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 90, 200),
    "yellow": (235, 200, 30),
    "purple": (140, 60, 180),
    "orange": (250, 130, 20),
    "black": (25, 25, 25),
    "pink": (245, 130, 190),
}
# The fonts that ship inside matplotlib: the same on every machine.
FONT_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono-Bold.ttf")


@dataclass
class Question:
    """One question about a picture, its answer, and the family whose skill it asks for."""

    text: str
    answer: str
    family: str


@dataclass
class Mark:
    """What lies where: labels, and the box (left, top, right, bottom) that they cover, in fractions of the side."""

    labels: list[str]
    box: tuple[float, float, float, float]


@dataclass
class Picture:
    """A rendered RGB image, everything that can be asked about it, and what lies where in it."""

    image: Image.Image
    questions: list[Question]
    marks: list[Mark]


def written(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    string: str,
    face: ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
    canvas: int,
    labels: Sequence[str] = (),
) -> list[Mark]:
    """Write `string` with the top left of its ink at `at`; a mark for each character, with `labels` added to it."""
    left, top, _, bottom = pen.textbbox((0, 0), string, font=face)
    pen.text((at[0] - left, at[1] - top), string, font=face, fill=colour)
    marks, x = [], at[0]
    for index, character in enumerate(string):
        width = pen.textlength(string[: index + 1], font=face) - pen.textlength(string[:index], font=face)
        box = (x / canvas, at[1] / canvas, (x + width) / canvas, (at[1] + bottom - top) / canvas)
        marks.append(Mark([character, *labels], box))
        x += width
    return marks


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """The named font at `size` pixels."""
    return ImageFont.truetype(str(FONT_FOLDER / name), size)


def paper(rng: Random) -> tuple[int, int, int]:
    """A light background colour."""
    base = rng.randint(225, 255)
    red, green, blue = (min(255, max(215, base + rng.randint(-8, 8))) for _ in range(3))
    return red, green, blue


def short_string(rng: Random) -> str:
    """A number of two or three digits, or one of a few short words."""
    return rng.choice(WORDS) if rng.random() < 0.25 else str(rng.randint(10, 999))


WORDS = ("CAT", "DOG", "SUN", "BOX", "KEY", "MAP", "TEA", "ICE", "JAM", "OWL", "PEN", "VAN", "WEB", "ZOO", "FIG", "HUT")
