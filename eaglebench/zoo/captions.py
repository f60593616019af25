"""The synthetic pictures in words."""

from collections.abc import Sequence
from random import Random

from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import COLOURS, Mark, Picture
from eaglebench.data.synthetic.shapes import PLACES, SHAPES, SIDE


def words(mark: Mark) -> list[str]:
    """The labels of one thing, its colour first."""
    named = [label.removeprefix(VALUE) for label in mark.labels]
    return sorted(named, key=lambda label: label not in COLOURS)


def sentences(marks: Sequence[Mark]) -> list[str]:
    """A few words for each thing, in their order; the digits of a field follow its name: `red circle`, `total 47`."""
    told: list[str] = []
    for mark in marks:
        (first, *_) = named = words(mark)
        if first.isdigit():
            told[-1] += first if told[-1][-1].isdigit() else f" {first}"
        else:
            told.append(" ".join(named))
    return told


def caption(picture: Picture, rng: Random) -> str:
    """What is in the picture, in any order, without a word on where it is."""
    told = sentences(picture.marks)
    rng.shuffle(told)
    return ", ".join(told)


def description(picture: Picture, rng: Random) -> str:
    """What there is to know: things, the cells of a board's shapes, and what was found out about areas."""
    told = sentences(picture.marks)
    if on_board(picture):
        told = [f"{sentence} {place(mark, picture)}" for sentence, mark in zip(told, picture.marks, strict=True)]
    told += [f"{question.text} {question.answer}" for question in picture.questions if question.family == "area"]
    rng.shuffle(told)
    return ", ".join(told)


def on_board(picture: Picture) -> bool:
    """Whether the things lie on a board, whose cells have names."""
    return any(question.family == "counting" for question in picture.questions)


def place(mark: Mark, picture: Picture) -> str:
    """The cell of the board that a shape's centre lies in."""
    left, top, right, bottom = (edge / picture.image.width * SIDE for edge in mark.box)
    return PLACES[int((top + bottom) / 2) * SIDE + int((left + right) / 2)]


def shows_shapes(picture: Picture) -> bool:
    """Whether this is a picture of shapes, with nothing to read."""
    return any(label in SHAPES for mark in picture.marks for label in mark.labels)
