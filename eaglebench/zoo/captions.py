"""Texts that describe a synthetic scene, for the pretext tasks that read or write."""

from random import Random

from eaglebench.data.synthetic.drawing import Scene
from eaglebench.data.synthetic.shapes import PLACES, SHAPES
from eaglebench.data.synthetic.transcription import find_cell, pair_phrases


def write_caption(scene: Scene, rng: Random) -> str:
    """The objects of a scene in random order, without their positions."""
    phrases = [phrase for _, phrase in pair_phrases(scene.marks)]
    rng.shuffle(phrases)
    return ", ".join(phrases)


def write_description(scene: Scene, rng: Random) -> str:
    """Everything that questions can ask about: the objects, their cells on a board, and the answers about areas."""
    pairs = pair_phrases(scene.marks)
    placed = has_board(scene)
    phrases = [f"{phrase} {PLACES[find_cell(mark, scene)]}" if placed else phrase for mark, phrase in pairs]
    phrases += [f"{question.text} {question.answer}" for question in scene.questions if question.family == "area"]
    rng.shuffle(phrases)
    return ", ".join(phrases)


def has_board(scene: Scene) -> bool:
    """Whether the objects lie on a board, whose cells have names."""
    return any(question.family == "counting" for question in scene.questions)


def shows_shapes(scene: Scene) -> bool:
    """Whether a scene has shapes, and therefore no text."""
    return any(label in SHAPES for mark in scene.marks for label in mark.labels)
