"""Relaxed accuracy: ChartQA's metric."""

import math
from collections.abc import Sequence

TOLERANCE = 0.05


def relaxed(prediction: str, references: Sequence[str]) -> float:
    """1 if a number is within 5 % of a reference; anything else, and a reference of 0, must be the same but for case."""
    return float(any(close(prediction.strip(), reference.strip()) for reference in references))


def close(prediction: str, reference: str) -> bool:
    """Whether an answer counts as its reference."""
    predicted, expected = number(prediction), number(reference)
    if predicted is None or not expected:
        return prediction.lower() == reference.lower()
    return abs(predicted - expected) <= TOLERANCE * abs(expected)


def number(text: str) -> float | None:
    """The number that a text is, a percentage in hundredths; None if it is none, as with separators of thousands."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
