"""What an expert's own head answers to the questions of the synthetic world, by family."""

from collections.abc import Mapping, Sequence
from random import Random
from statistics import fmean

import torch

from eaglebench.data.synthetic.chart import HIGHEST, VALUE
from eaglebench.data.synthetic.compositions import draw_seen
from eaglebench.data.synthetic.document import FIELDS
from eaglebench.data.synthetic.drawing import COLOURS, Scene, SceneQuestion
from eaglebench.data.synthetic.engine import FAMILIES, KINDS, kind_of
from eaglebench.data.synthetic.shapes import SHAPES
from eaglebench.data.synthetic.text import WORDS
from eaglebench.zoo.pretext import GROUP, ExpertPretext, to_pixels

NAMES = {*COLOURS, *SHAPES, *WORDS, *FIELDS}

# The possible answers by family and type of a question, as labels.
LABELS: Mapping[tuple[str, str], Sequence[str]] = {
    ("attributes", "shape"): SHAPES,
    ("attributes", "colour"): tuple(COLOURS),
    ("text", "word"): WORDS,
    ("chart", "height"): tuple(f"{VALUE}{value}" for value in range(1, HIGHEST + 1)),
    ("document", "number"): tuple(map(str, range(10, 100))),
}


@torch.inference_mode()
def read_families(pretext: ExpertPretext, questions: int, canvas: int, seed: str) -> dict[str, float]:
    """The share of held-out questions of each family that the head of an expert answers right.

    Families that it answers no question of are left out. Call it in evaluation mode.

    Args:
        pretext: the expert with its head.
        questions: of each family.
        canvas: side of a scene, in pixels.
        seed: of the scenes.
    """
    families = {}
    device = pretext.part.mean.device
    for family in FAMILIES:
        asked = draw_questions(family, questions, canvas, f"{seed} {family}")
        answers: list[str | None] = []
        for start in range(0, len(asked), GROUP):
            scenes, texts = zip(*asked[start : start + GROUP], strict=True)
            answers += pretext.read(torch.stack([to_pixels(scene) for scene in scenes]).to(device), texts)
        if any(answer is not None for answer in answers):
            pairs = zip(answers, asked, strict=True)
            families[family] = fmean(answer == question.answer for answer, (_, question) in pairs)
    return families


def draw_questions(family: str, count: int, canvas: int, seed: str) -> list[tuple[Scene, SceneQuestion]]:
    """Scenes with one question of a family each."""
    rng = Random(seed)
    found: list[tuple[Scene, SceneQuestion]] = []
    while len(found) < count:
        scene = draw_seen(KINDS[kind_of(family)], rng, canvas)
        if usable := [question for question in scene.questions if question.family == family]:
            found.append((scene, rng.choice(usable)))
    return found


def find_key(question: SceneQuestion) -> str:
    """The label that a question names."""
    (key,) = NAMES.intersection(question.text.strip("?").split())
    return key


def list_candidates(question: SceneQuestion) -> Mapping[str, tuple[str, str]]:
    """The possible answers to a question that names one label of a thing and asks for another, each with both labels.

    A colour or the field of a form comes first; the height of a bar has its prefix. Empty for any other question.
    """
    labels = LABELS.get((question.family, question.type), ())
    key = find_key(question) if labels else ""
    if question.type == "colour":
        return {colour: (colour, key) for colour in labels}
    return {label.removeprefix(VALUE): (key, label) for label in labels}
