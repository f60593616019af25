"""One training or evaluation sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Turn:
    """A question, its reference answer, and the family it is scored under (None outside evaluation).

    Attributes:
        references: all answers that count; empty where `answer` is the only one.
        meta: what scoring a benchmark needs besides.
    """

    question: str
    answer: str
    family: str | None = None
    # Not of the repr, which the digest of training samples is made of.
    references: tuple[str, ...] = field(default=(), repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True)
class Sample:
    """A conversation about at most one image; the image belongs to the first turn."""

    id: str
    image: Path | None
    turns: tuple[Turn, ...]
