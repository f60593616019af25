"""Answers that must be the reference."""

import string
from collections.abc import Sequence

NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, single spaces, no full stop at the end."""
    return " ".join(text.lower().split()).removesuffix(".")


def exact(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is one of the references but for case, spaces and a final full stop."""
    return float(normalised(prediction) in map(normalised, references))


def exact_words(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is one of the references but for case, spaces and ASCII punctuation (GQA as lmms-eval scores it)."""
    return float(words(prediction) in map(words, references))


def words(text: str) -> str:
    """Lower case, single spaces, no punctuation."""
    return " ".join(text.lower().translate(NO_PUNCTUATION).split())
