"""Compositions that no training image shows: both parts are common there, but never together.

Neither a run's training images nor the scenes of a pretraining have any of them. A held-out split asks for no other.
"""

import re
from collections.abc import Callable
from random import Random

from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import Scene, SceneQuestion

UNSEEN = tuple(
    map(
        frozenset,
        (
            # A colour and a shape.
            ("red", "star"),
            ("green", "ring"),
            ("blue", "triangle"),
            # A colour and a word.
            ("red", "CAT"),
            ("green", "SUN"),
            ("blue", "KEY"),
            ("yellow", "TEA"),
            ("purple", "JAM"),
            ("orange", "PEN"),
            # A colour and the height of a bar.
            ("red", "7"),
            ("green", "3"),
            ("blue", "5"),
            ("pink", "8"),
            # A field of a form and a digit of its number.
            ("total", "7"),
            ("code", "3"),
        ),
    )
)
FAMILIES = ("attributes", "text", "chart", "document")  # of questions that ask for one part by naming the other

Draw = Callable[[Random, int], Scene]


def shows_unseen(scene: Scene) -> bool:
    """Whether something in a scene is one of these compositions."""
    labels = [{label.removeprefix(VALUE) for label in mark.all_labels} for mark in scene.marks]
    return any(pair <= own for pair in UNSEEN for own in labels)


def asks_unseen(question: SceneQuestion) -> bool:
    """Whether a question names one part of a composition and has the other for an answer."""
    words = set(re.findall("[A-Za-z]+|[0-9]", f"{question.text} {question.answer}"))
    return question.family in FAMILIES and any(pair <= words for pair in UNSEEN)


def draw_seen(draw: Draw, rng: Random, canvas: int) -> Scene:
    """A scene, drawn again as long as it shows one of these compositions; `canvas` pixels a side."""
    while True:
        scene = draw(rng, canvas)
        if not shows_unseen(scene):
            return scene


def draw_unseen(draw: Draw, rng: Random, canvas: int) -> Scene:
    """A scene that shows one of these compositions, with only the questions that ask for one; `canvas` pixels a side.

    Drawn again until it does.
    """
    while True:
        scene = draw(rng, canvas)
        # A question may name one thing and have another's label for an answer: the scene has to show the pair, too.
        scene.questions = [question for question in scene.questions if asks_unseen(question)]
        if scene.questions and shows_unseen(scene):
            return scene
