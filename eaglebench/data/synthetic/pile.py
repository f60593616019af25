"""Large shapes that cover each other: areas and overlaps."""

from random import Random

import numpy as np
from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import COLOURS, Mark, Picture, Question, around_region, paper
from eaglebench.data.synthetic.shapes import OVERSAMPLING, draw_shape, seen

SOLID = ("circle", "square", "triangle")
LEAST, MOST = 3, 4  # shapes
CLEAR = 1.3  # times the area of the next one: then a shape is plainly the largest or the smallest
COVERED = 0.1  # of a shape, from which on it counts as covered by another one
VISIBLE = 0.25  # of a shape, at least


def draw(rng: Random, canvas: int) -> Picture:
    """A pile of three or four shapes of different colours, and questions about areas and about what covers what."""
    while True:
        picture = attempt(rng, canvas)
        if picture is not None and picture.questions:
            return picture


def attempt(rng: Random, canvas: int) -> Picture | None:
    """A pile; None if one of its shapes is hidden by the others."""
    side = canvas * OVERSAMPLING
    background = paper(rng)
    image = Image.new("RGB", (side, side), background)
    pen = ImageDraw.Draw(image)
    colours = rng.sample(list(COLOURS), rng.randint(LEAST, MOST))
    shapes = [rng.choice(SOLID) for _ in colours]
    alone = []  # each as if nothing covered it
    for shape, colour in zip(shapes, colours, strict=True):
        radius = side * rng.uniform(0.14, 0.32)
        x, y = (rng.uniform(radius, side - radius) for _ in range(2))
        draw_shape(pen, shape, x, y, radius, COLOURS[colour], background)
        layer = Image.new("L", (side, side))
        draw_shape(ImageDraw.Draw(layer), shape, x, y, radius, 1, 0)
        alone.append(seen(layer).astype(bool))
    regions = np.zeros((canvas, canvas), dtype=np.uint8)
    for index, whole in enumerate(alone):
        regions[whole] = index + 1
    areas = [int((regions == index + 1).sum()) for index in range(len(alone))]
    if any(area < VISIBLE * whole.sum() for area, whole in zip(areas, alone, strict=True)):
        return None
    marks = [
        Mark([shape, colour], around_region(regions == index + 1))
        for index, (shape, colour) in enumerate(zip(shapes, colours, strict=True))
    ]
    return Picture(image.reduce(OVERSAMPLING), questions(rng, colours, areas, alone, regions), marks, regions)


def questions(
    rng: Random, colours: list[str], areas: list[int], alone: list[np.ndarray], regions: np.ndarray
) -> list[Question]:
    """What has the largest and the smallest visible area, and what covers a shape that one other covers; two at most."""
    asked = []
    ordered = sorted(range(len(areas)), key=areas.__getitem__)
    if areas[ordered[-1]] > CLEAR * areas[ordered[-2]]:
        asked.append(Question("largest area", colours[ordered[-1]], "area"))
    if areas[ordered[1]] > CLEAR * areas[ordered[0]]:
        asked.append(Question("smallest area", colours[ordered[0]], "area"))
    for index, whole in enumerate(alone):
        hidden = [int((regions[whole] == other + 1).sum()) / whole.sum() for other in range(len(alone))]
        over = [other for other, part in enumerate(hidden) if other != index and part > 0]
        if len(over) == 1 and hidden[over[0]] > COVERED:
            asked.append(Question(f"on top of {colours[index]}", colours[over[0]], "area"))
    rng.shuffle(asked)
    return asked[:2]
