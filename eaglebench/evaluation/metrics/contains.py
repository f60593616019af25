"""Containment of a reference in the answer: OCRBench's metric."""

from collections.abc import Sequence

# Full-width ASCII and the ideographic space, as Chinese and Japanese texts write them.
HALF_WIDTH = {0x3000: " "} | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}


def contains(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference occurs in the answer, ignoring case and full width; line breaks count as spaces."""
    text = normalise(prediction)
    return float(any(normalise(reference) in text for reference in references))


def contains_formula(prediction: str, references: Sequence[str]) -> float:
    """1 if a formula occurs in the answer, ignoring spaces but not case (OCRBench's handwritten mathematics)."""
    text = remove_spaces(prediction)
    return float(any(remove_spaces(reference) in text for reference in references))


def normalise(text: str) -> str:
    """The text on one line in lower case and half width, without leading and trailing spaces."""
    return text.translate(HALF_WIDTH).lower().strip().replace("\n", " ")


def remove_spaces(text: str) -> str:
    """The text without spaces and line breaks, and without tabs at its ends."""
    return text.strip().replace("\n", "").replace(" ", "")
