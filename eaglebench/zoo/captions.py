"""Texts that describe a synthetic scene, for the pretext tasks that read or write."""

from collections.abc import Sequence
from random import Random

from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import COLOURS, Mark, Scene
from eaglebench.data.synthetic.shapes import PLACES, SHAPES, SIDE


def order_labels(mark: Mark) -> list[str]:
    """The labels of one object, its colour first."""
    labels = [label.removeprefix(VALUE) for label in mark.labels]
    return sorted(labels, key=lambda label: label not in COLOURS)


def describe_marks(marks: Sequence[Mark]) -> list[str]:
    """A phrase for each object, in their order, with digits appended to the field before: `red circle`, `total 47`."""
    phrases: list[str] = []
    for mark in marks:
        (first, *_) = labels = order_labels(mark)
        if first.isdigit():
            phrases[-1] += first if phrases[-1][-1].isdigit() else f" {first}"
        else:
            phrases.append(" ".join(labels))
    return phrases


def write_caption(scene: Scene, rng: Random) -> str:
    """The objects of a scene in random order, without their positions."""
    phrases = describe_marks(scene.marks)
    rng.shuffle(phrases)
    return ", ".join(phrases)


def write_description(scene: Scene, rng: Random) -> str:
    """Everything that questions can ask about: the objects, their cells on a board, and the answers about areas."""
    phrases = describe_marks(scene.marks)
    if has_board(scene):
        phrases = [f"{phrase} {name_cell(mark, scene)}" for phrase, mark in zip(phrases, scene.marks, strict=True)]
    phrases += [f"{question.text} {question.answer}" for question in scene.questions if question.family == "area"]
    rng.shuffle(phrases)
    return ", ".join(phrases)


def has_board(scene: Scene) -> bool:
    """Whether the objects lie on a board, whose cells have names."""
    return any(question.family == "counting" for question in scene.questions)


def name_cell(mark: Mark, scene: Scene) -> str:
    """The name of the board's cell that an object's centre lies in."""
    left, top, right, bottom = (edge / scene.image.width * SIDE for edge in mark.box)
    return PLACES[int((top + bottom) / 2) * SIDE + int((left + right) / 2)]


def shows_shapes(scene: Scene) -> bool:
    """Whether a scene has shapes, and therefore no text."""
    return any(label in SHAPES for mark in scene.marks for label in mark.labels)
