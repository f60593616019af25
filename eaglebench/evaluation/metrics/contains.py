"""Containment of a reference in the answer: OCRBench's metric."""

from collections.abc import Sequence


def contains(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference occurs in the answer, ignoring case; line breaks count as spaces."""
    text = join_lines(prediction).lower()
    return float(any(join_lines(reference).lower() in text for reference in references))


def contains_formula(prediction: str, references: Sequence[str]) -> float:
    """1 if a formula occurs in the answer, ignoring spaces but not case (OCRBench's handwritten mathematics)."""
    text = "".join(prediction.split())
    return float(any("".join(reference.split()) in text for reference in references))


def join_lines(text: str) -> str:
    """The text on one line, without leading and trailing spaces."""
    return text.strip().replace("\n", " ")
