"""The questions of a data set, and their blind variants without the right image."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from eaglebench.data.sample import TYPE, Sample

DEFAULT_FAMILY = "all"  # of questions that name no family


@dataclass(frozen=True)
class EvalQuestion:
    """One turn of a sample to be answered, after its earlier turns with their reference answers.

    Attributes:
        sample: the conversation with its image.
        turn: index of the turn that is asked.
    """

    sample: Sample
    turn: int

    @property
    def name(self) -> str:
        """The sample's id, with the number of the turn where the sample has several."""
        return self.sample.id if len(self.sample.turns) == 1 else f"{self.sample.id} turn {self.turn + 1}"

    @property
    def family(self) -> str:
        """The name that the question is scored under."""
        return self.sample.turns[self.turn].family or DEFAULT_FAMILY

    @property
    def type(self) -> str | None:
        """The kind of question within its family; None: it names none."""
        return self.sample.turns[self.turn].meta.get(TYPE)

    @property
    def reference(self) -> str:
        """The first reference answer."""
        return self.sample.turns[self.turn].answer

    @property
    def references(self) -> tuple[str, ...]:
        """All answers that count as right."""
        return self.sample.turns[self.turn].references or (self.reference,)

    @property
    def unit(self) -> str:
        """The unit that the bootstrap resamples: all questions about one image belong together."""
        return str(self.sample.image or self.sample.id)

    @property
    def meta(self) -> Mapping[str, Any]:
        """What scoring a benchmark needs besides the references: `category`, `choices` and `image`."""
        return {**self.sample.turns[self.turn].meta, "image": self.unit}


def list_questions(samples: Sequence[Sample]) -> list[EvalQuestion]:
    """Every turn of every sample, in their order."""
    return [EvalQuestion(sample, turn) for sample in samples for turn in range(len(sample.turns))]


def drop_image(question: EvalQuestion) -> EvalQuestion:
    """The same question without its image, for the no-image baseline."""
    return replace(question, sample=replace(question.sample, image=None))


def shuffle_images(questions: Sequence[EvalQuestion], seed: int) -> list[EvalQuestion]:
    """The questions with the images of other questions of their family.

    No question keeps its image if its family has two images or more. Questions without an image stay as they are.
    """
    images: dict[str, list[Path]] = {}
    for question in questions:
        if question.sample.image is not None and question.sample.image not in images.setdefault(question.family, []):
            images[question.family].append(question.sample.image)
    replacements: dict[tuple[str, Path | None], Path] = {}
    for family, own in images.items():
        order = Random(f"{seed} {family}").sample(own, len(own))
        # Each image is replaced by the next one of a random cycle.
        cycle = zip(order, order[1:] + order[:1], strict=True)
        replacements.update({(family, image): other for image, other in cycle})
    shuffled = []
    for question in questions:
        image = replacements.get((question.family, question.sample.image))
        shuffled.append(replace(question, sample=replace(question.sample, image=image)))
    return shuffled


def ask_another(question: EvalQuestion, text: str) -> EvalQuestion:
    """The same image and references with another question's text."""
    turns = list(question.sample.turns)
    turns[question.turn] = replace(turns[question.turn], question=text)
    return replace(question, sample=replace(question.sample, turns=tuple(turns)))


def shuffle_questions(questions: Sequence[EvalQuestion], seed: int) -> list[EvalQuestion | None]:
    """The questions with the texts of other questions of their family, about images and for references of their own.

    A model that ignores what is asked scores as well with them as with its own questions. No question keeps its text.
    None stands for those of a family where more than half have one text: there are too few others.
    """
    shuffled: list[EvalQuestion | None] = [None] * len(questions)
    for family in sorted({question.family for question in questions}):
        places = [place for place, question in enumerate(questions) if question.family == family]
        texts = {place: questions[place].sample.turns[questions[place].turn].question for place in places}
        order = sorted(Random(f"{seed} {family} texts").sample(places, len(places)), key=texts.__getitem__)
        most = max(Counter(texts.values()).values())  # in this order, as many further there is another text
        if 2 * most <= len(order):
            for place, other in zip(order, order[most:] + order[:most], strict=True):
                shuffled[place] = ask_another(questions[place], texts[other])
    return shuffled
