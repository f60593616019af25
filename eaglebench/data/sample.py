"""One training or evaluation sample."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Turn:
    """A question, its reference answer, and the family it is scored under (None outside evaluation)."""

    question: str
    answer: str
    family: str | None = None


@dataclass(frozen=True)
class Sample:
    """A conversation about at most one image; the image belongs to the first turn."""

    id: str
    image: Path | None
    turns: tuple[Turn, ...]
