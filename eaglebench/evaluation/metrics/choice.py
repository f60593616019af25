"""Multiple choice of your own data: a letter as models write it, or the text of the right option."""

import re
from collections.abc import Sequence

from eaglebench.evaluation.metrics.exact import normalise

DIFFERS = "letters are found in sentences too; benchmarks of multiple choice have their official metrics"
NO_SECOND_LETTER = r"(?!\s*(?:,|/|&|or\b|and\b)\s*[(\[]?[A-Za-z]\b(?!'))"  # an answer with two letters gives none
# The strictest pattern first; the first that matches decides.
PATTERNS = (
    re.compile(rf"[(\[]?([A-Za-z])(?:[)\].:]+|$){NO_SECOND_LETTER}"),  # B   B.   (B)   B: the text
    re.compile(rf".*\b(?i:answer|option|choice)(?i:\s+is)?:?\s*[(\[]?([A-Z])\b(?!'){NO_SECOND_LETTER}", re.DOTALL),
    re.compile(r".*\b(?i:answer|option|choice)(?i:\s+is)?:?\s*[(\[]?([a-z])[)\]]?\.?$", re.DOTALL),
    re.compile(r"[^()]*\(([A-Z])\)[^()]*$"),  # one letter in brackets, anywhere
)


def choice(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is one of the references, or names the letter that is one; otherwise 0.

    The references of a question are the letter of the right option and, where known, its text. An answer with two
    letters, or with none, is wrong.
    """
    if normalise(prediction) in map(normalise, references):
        return 1.0
    letter = find_letter(prediction)
    return float(letter is not None and letter in (reference.strip().upper() for reference in references))


def find_letter(text: str) -> str | None:
    """The option letter that a text names, in upper case; None if it names none or several."""
    matches = (pattern.match(text.strip()) for pattern in PATTERNS)
    return next((match[1].upper() for match in matches if match), None)
