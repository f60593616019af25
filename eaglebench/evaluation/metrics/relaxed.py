"""Relaxed accuracy: ChartQA's metric."""

import math
from collections.abc import Sequence

TOLERANCE = 0.05


def relaxed(prediction: str, references: Sequence[str]) -> float:
    """1 if a number is within 5 % of a reference; texts, and a reference of 0, must be equal but for case."""
    return float(any(is_close(prediction.strip(), reference.strip()) for reference in references))


def is_close(prediction: str, reference: str) -> bool:
    """Whether an answer matches one reference."""
    predicted, expected = parse_number(prediction), parse_number(reference)
    if predicted is None or not expected:
        return prediction.lower() == reference.lower()
    return abs(predicted - expected) <= TOLERANCE * abs(expected)


def parse_number(text: str) -> float | None:
    """The number that a text spells, 5% being 0.05; None for other texts, and for thousands separators."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
