"""Large overlapping shapes, the kind `pile`; tests areas and occlusion."""

from random import Random

import numpy as np
import numpy.typing as npt
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
from eaglebench.data.synthetic.shapes import OVERSAMPLING, draw_shape, shrink_regions

SOLID = ("circle", "square", "triangle")
LEAST, MOST = 3, 4  # shapes in one scene
CLEAR = 1.3  # smallest ratio of two areas for a question about the larger or the smaller one
COVERED = 0.1  # smallest covered fraction of a shape for a question about what covers it
VISIBLE = 0.25  # smallest visible fraction of a shape
LARGEST, SMALLEST = "largest", "smallest"  # ranks of visible areas, and the types of the questions about them
COVER = "cover"  # the type of a question about what covers a shape
LARGEST_COVERS = 0.3  # see `balance_questions`


def draw(rng: Random, canvas: int) -> Scene:
    """Draw three or four overlapping shapes of different colours, and ask about areas and about what covers what.

    The canvas has `canvas` pixels a side.
    """
    while True:
        scene = try_draw(rng, canvas)
        if scene is not None and scene.questions:
            return scene


def try_draw(rng: Random, canvas: int) -> Scene | None:
    """Draw overlapping shapes once; None if too little of one of them is visible."""
    side = canvas * OVERSAMPLING
    background = random_background(rng)
    image = Image.new("RGB", (side, side), background)
    pen = ImageDraw.Draw(image)
    colours = rng.sample(list(COLOURS), rng.randint(LEAST, MOST))
    shapes = [rng.choice(SOLID) for _ in colours]
    masks = []  # the pixels of each shape, visible or not
    for shape, colour in zip(shapes, colours, strict=True):
        radius = side * rng.uniform(0.14, 0.32)
        x, y = (rng.uniform(radius, side - radius) for _ in range(2))
        draw_shape(pen, shape, x, y, radius, COLOURS[colour], background)
        layer = Image.new("L", (side, side))
        draw_shape(ImageDraw.Draw(layer), shape, x, y, radius, 1, 0)
        masks.append(shrink_regions(layer).astype(bool))
    regions = np.zeros((canvas, canvas), dtype=np.uint8)
    for index, mask in enumerate(masks):
        regions[mask] = index + 1
    areas = [int((regions == index + 1).sum()) for index in range(len(masks))]
    if any(area < VISIBLE * mask.sum() for area, mask in zip(areas, masks, strict=True)):
        return None
    marks = [
        Mark([shape, colour], bounding_box(regions == index + 1), rank=rank)
        for index, (shape, colour, rank) in enumerate(zip(shapes, colours, rank_areas(areas), strict=True))
    ]
    return Scene(image.reduce(OVERSAMPLING), ask_questions(rng, marks, masks, regions), marks, regions)


def rank_areas(areas: list[int]) -> list[str | None]:
    """For each visible area: `largest` or `smallest` if it is so by far, None otherwise."""
    ranks: list[str | None] = [None] * len(areas)
    ordered = sorted(range(len(areas)), key=areas.__getitem__)
    if areas[ordered[-1]] > CLEAR * areas[ordered[-2]]:
        ranks[ordered[-1]] = LARGEST
    if areas[ordered[1]] > CLEAR * areas[ordered[0]]:
        ranks[ordered[0]] = SMALLEST
    return ranks


def ask_questions(
    rng: Random, marks: list[Mark], masks: list[npt.NDArray[np.bool_]], regions: Regions
) -> list[SceneQuestion]:
    """At most two questions: which visible area is the largest or the smallest, and what covers a shape.

    Args:
        rng: source of randomness.
        marks: the shapes, from the bottom to the top.
        masks: all pixels of each shape, visible or not.
        regions: the visible shape of each pixel (see `Scene.regions`).
    """
    colours = [mark.labels[-1] for mark in marks]
    questions = [
        SceneQuestion(f"What colour is the {rank} shape?", colour, "area", rank)
        for rank in (LARGEST, SMALLEST)
        for mark, colour in zip(marks, colours, strict=True)
        if mark.rank == rank
    ]
    for index, mask in enumerate(masks):
        hidden = [int((regions[mask] == other + 1).sum()) / mask.sum() for other in range(len(masks))]
        over = [other for other, part in enumerate(hidden) if other != index and part > 0]
        if len(over) == 1 and hidden[over[0]] > COVERED:
            questions.append(
                SceneQuestion(f"What colour covers the {colours[index]} shape?", colours[over[0]], "area", COVER)
            )
    rng.shuffle(questions)
    return questions[:2]


def balance_questions(rng: Random, scene: Scene) -> list[SceneQuestion]:
    """The questions of a scene without most of those about what covers a shape that the largest one answers.

    If all were asked, naming the largest without a look at the question would be right in half of all cases.
    """
    areas = np.bincount(scene.regions.ravel(), minlength=len(scene.marks) + 1)[1:]
    largest = scene.marks[int(areas.argmax())].labels[-1]
    kept = [
        question
        for question in scene.questions
        if question.type != COVER or question.answer != largest or rng.random() < LARGEST_COVERS
    ]
    return kept or scene.questions
