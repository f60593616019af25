"""One training or evaluation sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TYPE = "type"  # in the meta of a turn: its kind of question within the family
# As the data of a stage: the synthetic world's transcriptions, these and its questions, or the words of its cells.
CAPTIONS, MIXED, SLOTS = "captions", "mixed", "slots"
OF_WORLD = (CAPTIONS, MIXED, SLOTS)


@dataclass(frozen=True)
class Turn:
    """A question with its reference answer.

    Attributes:
        question: text of the question, without an image tag.
        answer: the reference answer, and the training target.
        family: name of the group of questions that the answer is scored in; None outside of evaluation.
        references: all accepted answers; empty if `answer` is the only one.
        meta: further data that scoring a benchmark needs.
    """

    question: str
    answer: str
    family: str | None = None
    # Not part of the repr, which `hash_samples` hashes for the training samples.
    references: tuple[str, ...] = field(default=(), repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True)
class Sample:
    """A conversation about at most one image.

    Attributes:
        id: identifies the sample in messages and in the answer log.
        image: file of the image, shown in the first turn; None for text alone.
        turns: questions and answers in order.
        system: takes the place of the chat template's system text; None: the template's own.
    """

    id: str
    image: Path | None
    turns: tuple[Turn, ...]
    system: str | None = None
