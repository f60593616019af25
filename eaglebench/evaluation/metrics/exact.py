"""Exact match with a reference."""

import string
from collections.abc import Sequence

NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """The text in lower case, with single spaces and without a final full stop."""
    return " ".join(text.lower().split()).removesuffix(".")


def exact(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer equals a reference, ignoring case, repeated spaces and a final full stop."""
    return float(normalise(prediction) in map(normalise, references))


def exact_words(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer equals a reference, ignoring case and ASCII punctuation (GQA)."""
    return float(remove_punctuation(prediction.strip()) in map(remove_punctuation, references))


def remove_punctuation(text: str) -> str:
    """The text in lower case without punctuation; spaces stay, also those around a sign that is removed."""
    return text.lower().translate(NO_PUNCTUATION)
