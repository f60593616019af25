"""Coloured shapes on a four by four board: attributes, counting, position."""

import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import COLOURS, Mark, Picture, Question, around_region, paper

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIDE = 4  # cells of the board
PLACES = [f"{column}{row}" for row in range(1, SIDE + 1) for column in "abcd"]  # a1 is the top left
MOST = 5  # shapes on one board
OVERSAMPLING = 2


def draw(rng: Random, canvas: int) -> Picture:
    """A board of one to five shapes, one per cell, and questions about it."""
    side = canvas * OVERSAMPLING
    background = paper(rng)
    image = Image.new("RGB", (side, side), background)
    pen = ImageDraw.Draw(image)
    cells = rng.sample(range(SIDE**2), rng.randint(1, MOST))
    # No two of one colour, so that every shape can be asked for.
    colours = rng.sample(list(COLOURS), len(cells))
    objects = [(cell, rng.choice(SHAPES), colour) for cell, colour in zip(cells, colours, strict=True)]
    layer = Image.new("L", (side, side))
    outlines = ImageDraw.Draw(layer)
    for index, (cell, shape, colour) in enumerate(objects):
        step = side / SIDE
        radius = step * rng.uniform(0.32, 0.45)
        slack = step / 2 - radius
        x = (cell % SIDE + 0.5) * step + rng.uniform(-slack, slack)
        y = (cell // SIDE + 0.5) * step + rng.uniform(-slack, slack)
        draw_shape(pen, shape, x, y, radius, COLOURS[colour], background)
        draw_shape(outlines, shape, x, y, radius, index + 1, 0)
    regions = seen(layer)
    marks = [
        Mark([shape, colour], around_region(regions == index + 1)) for index, (_, shape, colour) in enumerate(objects)
    ]
    return Picture(image.reduce(OVERSAMPLING), questions(rng, objects), marks, regions)


def seen(layer: Image.Image) -> np.ndarray:
    """Regions at the picture's own side."""
    return np.asarray(layer)[::OVERSAMPLING, ::OVERSAMPLING].copy()


def questions(rng: Random, objects: list[tuple[int, str, str]]) -> list[Question]:
    """One question for each shape, named by its colour or, if no other has it, by its form; and one that counts.

    No more than one for each shape: two would answer each other, and a model would learn to read its own text.
    """
    shapes = [shape for _, shape, _ in objects]
    asked = [Question("how many shapes", str(len(objects)), "counting")]
    for cell, shape, colour in objects:
        possible = [
            Question(f"shape in {colour}", shape, "attributes"),
            Question(f"cell of {colour}", PLACES[cell], "position"),
        ]
        if shapes.count(shape) == 1:
            possible.append(Question(f"colour of the {shape}", colour, "attributes"))
            possible.append(Question(f"cell of the {shape}", PLACES[cell], "position"))
        asked.append(rng.choice(possible))
    rng.shuffle(asked)
    return asked


def draw_shape(
    pen: ImageDraw.ImageDraw,
    shape: str,
    x: float,
    y: float,
    radius: float,
    colour: tuple[int, int, int] | int,
    background: tuple[int, int, int] | int,
) -> None:
    """One filled shape centred at (x, y)."""
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "ring":
        pen.ellipse(box, fill=colour)
        inner = radius * 0.55
        pen.ellipse((x - inner, y - inner, x + inner, y + inner), fill=background)
    elif shape == "square":
        half = radius * 0.86
        pen.rectangle((x - half, y - half, x + half, y + half), fill=colour)
    elif shape == "triangle":
        pen.polygon(around(x, y, [radius] * 3), fill=colour)
    elif shape == "star":
        pen.polygon(around(x, y, [radius, radius * 0.42] * 5), fill=colour)
    elif shape == "cross":
        arm = radius * 0.32
        pen.rectangle((x - radius, y - arm, x + radius, y + arm), fill=colour)
        pen.rectangle((x - arm, y - radius, x + arm, y + radius), fill=colour)


def around(x: float, y: float, radii: list[float]) -> list[tuple[float, float]]:
    """Points at equal angles around (x, y), the first one straight up, at the given distances."""
    turn = 2 * math.pi / len(radii)
    return [(x + r * math.sin(i * turn), y - r * math.cos(i * turn)) for i, r in enumerate(radii)]
