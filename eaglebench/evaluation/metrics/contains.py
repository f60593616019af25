"""Containment: OCRBench's metric."""

from collections.abc import Sequence


def contains(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference occurs in the answer, whatever the case; a line's end is a space."""
    text = one_line(prediction).lower()
    return float(any(one_line(reference).lower() in text for reference in references))


def contains_formula(prediction: str, references: Sequence[str]) -> float:
    """1 if a formula occurs in the answer, spaces aside; x and X differ (OCRBench's handwritten mathematics)."""
    text = "".join(prediction.split())
    return float(any("".join(reference.split()) in text for reference in references))


def one_line(text: str) -> str:
    """The text without line ends and outer spaces."""
    return text.strip().replace("\n", " ")
