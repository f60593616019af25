"""What the renderers share: colours, fonts, text, and the scene with its questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
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

Regions = npt.NDArray[np.uint8]


@dataclass
class SceneQuestion:
    """One question about a scene.

    Attributes:
        text: the question.
        answer: the only right answer.
        family: the visual skill that the question needs, such as `counting`.
        type: what is asked, within the family, such as `colour` or `shape` of `attributes`.
    """

    text: str
    answer: str
    family: str
    type: str


@dataclass
class Mark:
    """One thing in a scene.

    Attributes:
        labels: what it is, such as its shape and its colour.
        box: (left, top, right, bottom) around its visible part, in pixels.
        field: name of the form field whose value it is part of; None otherwise.
        rank: `largest` or `smallest` of a pile, if it is so by far; None otherwise.
    """

    labels: list[str]
    box: tuple[float, float, float, float]
    field: str | None = None
    rank: str | None = None

    @property
    def all_labels(self) -> list[str]:
        """Everything that describes the thing: its labels, and its form field if it has one."""
        return [*self.labels, self.field] if self.field else self.labels

    @property
    def ranked_labels(self) -> list[str]:
        """What a caption says of the thing: `largest` or `smallest` if it is that by far, then its labels."""
        return [self.rank, *self.labels] if self.rank else self.labels


@dataclass
class Scene:
    """A rendered image with its questions and annotations.

    Attributes:
        image: a square RGB image.
        questions: questions with their answers.
        marks: the things in the image, in reading order where they are text.
        regions: uint8 [canvas, canvas]: for each pixel 0, or i + 1 where `marks[i]` is visible.
    """

    image: Image.Image
    questions: list[SceneQuestion]
    marks: list[Mark]
    regions: Regions


def regions_from_boxes(canvas: int, marks: Sequence[Mark]) -> Regions:
    """The `Scene.regions` of things that fill their boxes, on a canvas with `canvas` pixels a side."""
    regions = np.zeros((canvas, canvas), dtype=np.uint8)
    for index, mark in enumerate(marks):
        left, top, right, bottom = (round(min(max(edge, 0), canvas)) for edge in mark.box)
        regions[top : max(bottom, top + 1), left : max(right, left + 1)] = index + 1
    return regions


def bounding_box(region: npt.NDArray[Any]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) in pixels around the nonzero pixels of a region [H, W]."""
    rows, columns = region.nonzero()
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def draw_text(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
    labels: Sequence[str],
) -> Mark:
    """Draw `text` with the top left of its visible pixels at `at` = (x, y), and return its mark with these labels."""
    left, top, right, bottom = measure_text(text, font)
    pen.text((at[0] - left, at[1] - top), text, font=font, fill=colour)
    return Mark(list(labels), (at[0], at[1], at[0] + right - left, at[1] + bottom - top))


@cache
def measure_text(text: str, font: ImageFont.FreeTypeFont) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) in pixels around the visible pixels of a text drawn at (0, 0)."""
    return font.getbbox(text)


@cache
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """The font of this file name in matplotlib's folder, at `size` pixels."""
    return ImageFont.truetype(str(FONT_FOLDER / name), size)


def random_background(rng: Random) -> tuple[int, int, int]:
    """A light random background colour (red, green, blue)."""
    base = rng.randint(225, 255)
    red, green, blue = (min(255, max(215, base + rng.randint(-8, 8))) for _ in range(3))
    return red, green, blue
