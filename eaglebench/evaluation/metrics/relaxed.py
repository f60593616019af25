"""Relaxed accuracy: ChartQA's metric."""

from collections.abc import Sequence

TOLERANCE = 0.05


def relaxed(prediction: str, references: Sequence[str]) -> float:
    """1 if a number is within 5 % of a reference; texts, and a reference of 0, must be equal but for case."""
    return float(any(is_close(prediction.strip(), reference.strip()) for reference in references))


def is_close(prediction: str, reference: str) -> bool:
    """Whether an answer matches one reference. Infinity and NaN are close to nothing, not even to themselves."""
    predicted, expected = parse_number(prediction), parse_number(reference)
    if predicted is None or not expected:
        return prediction.lower() == reference.lower()
    return abs(predicted - expected) / abs(expected) <= TOLERANCE


def parse_number(text: str) -> float | None:
    """The number that a text spells, 5% being 0.05; None for other texts, and for thousands separators."""
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
