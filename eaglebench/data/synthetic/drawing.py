"""What the renderers share: named colours, fonts, and the picture with its questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import matplotlib
import numpy as np
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
FONTS = ("DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf")


@dataclass
class Question:
    """One question about a picture, its answer, and the family whose skill it asks for."""

    text: str
    answer: str
    family: str


@dataclass
class Mark:
    """One thing in a picture.

    Attributes:
        labels: what it is.
        box: (left, top, right, bottom) around what is seen of it, in pixels.
        field: of a form, that it is the value of.
    """

    labels: list[str]
    box: tuple[float, float, float, float]
    field: str | None = None

    @property
    def told(self) -> list[str]:
        """What there is to know of it in its place: what it is, and what it belongs to."""
        return [*self.labels, self.field] if self.field else self.labels


@dataclass
class Picture:
    """A rendered RGB image, everything that can be asked about it, and the things in it.

    Attributes:
        image: square.
        questions: with their answers.
        marks: the things, in reading order where they are written.
        regions: uint8 [canvas, canvas]; pixel by pixel which thing is seen: 0 for none, i + 1 for `marks[i]`.
    """

    image: Image.Image
    questions: list[Question]
    marks: list[Mark]
    regions: np.ndarray


def box_regions(canvas: int, marks: Sequence[Mark]) -> np.ndarray:
    """The regions of things that fill their boxes."""
    regions = np.zeros((canvas, canvas), dtype=np.uint8)
    for index, mark in enumerate(marks):
        left, top, right, bottom = (round(min(max(edge, 0), canvas)) for edge in mark.box)
        regions[top : max(bottom, top + 1), left : max(right, left + 1)] = index + 1
    return regions


def around_region(region: np.ndarray) -> tuple[float, float, float, float]:
    """The box around the pixels of a region."""
    rows, columns = region.nonzero()
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def written(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    string: str,
    face: ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
    labels: Sequence[str],
) -> Mark:
    """Write `string` with the top left of its ink at `at`."""
    left, top, right, bottom = ink(string, face)
    pen.text((at[0] - left, at[1] - top), string, font=face, fill=colour)
    return Mark(list(labels), (at[0], at[1], at[0] + right - left, at[1] + bottom - top))


@cache
def ink(string: str, face: ImageFont.FreeTypeFont) -> tuple[float, float, float, float]:
    """The box around the ink of a string that is written at (0, 0)."""
    return face.getbbox(string)


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """The named font at `size` pixels."""
    return ImageFont.truetype(str(FONT_FOLDER / name), size)


def paper(rng: Random) -> tuple[int, int, int]:
    """A light background colour."""
    base = rng.randint(225, 255)
    red, green, blue = (min(255, max(215, base + rng.randint(-8, 8))) for _ in range(3))
    return red, green, blue
