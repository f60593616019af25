"""Coloured shapes on a four by four board; tests attributes, counting and position."""

import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import (
    COLOURS,
    Mark,
    Regions,
    Scene,
    SceneQuestion,
    bounding_box,
    random_background,
)

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIDE = 4  # cells along a side of the board
PLACES = [f"{column}{row}" for row in range(1, SIDE + 1) for column in "abcd"]  # a1 is the top left
MOST = 5  # shapes on one board
OVERSAMPLING = 2  # pixels drawn for each pixel along a side


def draw(rng: Random, canvas: int) -> Scene:
    """Draw a board of one to five shapes, at most one a cell, and ask about it; `canvas` pixels a side."""
    side = canvas * OVERSAMPLING
    background = random_background(rng)
    image = Image.new("RGB", (side, side), background)
    pen = ImageDraw.Draw(image)
    cells = rng.sample(range(SIDE**2), rng.randint(1, MOST))
    # No two of one colour, so that every shape can be asked for.
    colours = rng.sample(list(COLOURS), len(cells))
    objects = [(cell, rng.choice(SHAPES), colour) for cell, colour in zip(cells, colours, strict=True)]
    layer = Image.new("L", (side, side))
    region_pen = ImageDraw.Draw(layer)
    for index, (cell, shape, colour) in enumerate(objects):
        step = side / SIDE
        radius = step * rng.uniform(0.32, 0.45)
        slack = step / 2 - radius
        x = (cell % SIDE + 0.5) * step + rng.uniform(-slack, slack)
        y = (cell // SIDE + 0.5) * step + rng.uniform(-slack, slack)
        draw_shape(pen, shape, x, y, radius, COLOURS[colour], background)
        draw_shape(region_pen, shape, x, y, radius, index + 1, 0)
    regions = shrink_regions(layer)
    marks = [
        Mark([shape, colour], bounding_box(regions == index + 1)) for index, (_, shape, colour) in enumerate(objects)
    ]
    return Scene(image.reduce(OVERSAMPLING), ask_questions(rng, objects), marks, regions)


def shrink_regions(layer: Image.Image) -> Regions:
    """Regions [canvas, canvas] of an oversampled layer, by taking every `OVERSAMPLING`th pixel."""
    return np.asarray(layer)[::OVERSAMPLING, ::OVERSAMPLING].copy()


def ask_questions(rng: Random, objects: list[tuple[int, str, str]]) -> list[SceneQuestion]:
    """One question about each shape, named by its colour or by a unique form, and one that counts, in random order.

    No more than one per shape: the answer to a second one could be taken from the text of the first.

    Args:
        rng: source of randomness.
        objects: cell, shape and colour of each object.
    """
    shapes = [shape for _, shape, _ in objects]
    questions = [SceneQuestion("How many shapes are there?", str(len(objects)), "counting", "number")]
    for cell, shape, colour in objects:
        possible = [
            SceneQuestion(f"Which shape is {colour}?", shape, "attributes", "shape"),
            SceneQuestion(f"Where is the {colour} one?", PLACES[cell], "position", "by colour"),
        ]
        if shapes.count(shape) == 1:
            possible.append(SceneQuestion(f"What colour is the {shape}?", colour, "attributes", "colour"))
            possible.append(SceneQuestion(f"Where is the {shape}?", PLACES[cell], "position", "by shape"))
        questions.append(rng.choice(possible))
    rng.shuffle(questions)
    return questions


def draw_shape(
    pen: ImageDraw.ImageDraw,
    shape: str,
    x: float,
    y: float,
    radius: float,
    colour: tuple[int, int, int] | int,
    background: tuple[int, int, int] | int,
) -> None:
    """Draw a filled shape centred at (x, y), all in pixels; the hole of a ring has the background's colour."""
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
        pen.polygon(points_around(x, y, [radius] * 3), fill=colour)
    elif shape == "star":
        pen.polygon(points_around(x, y, [radius, radius * 0.42] * 5), fill=colour)
    elif shape == "cross":
        arm = radius * 0.32
        pen.rectangle((x - radius, y - arm, x + radius, y + arm), fill=colour)
        pen.rectangle((x - arm, y - radius, x + arm, y + radius), fill=colour)


def points_around(x: float, y: float, radii: list[float]) -> list[tuple[float, float]]:
    """Points at equal angles around (x, y), the first one straight up, with the given distances `radii`."""
    turn = 2 * math.pi / len(radii)
    return [(x + r * math.sin(i * turn), y - r * math.cos(i * turn)) for i, r in enumerate(radii)]
