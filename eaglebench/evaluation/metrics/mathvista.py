"""MathVista's metric without a language model."""

import re
from collections.abc import Sequence

from eaglebench.evaluation.metrics.base import is_letter
from eaglebench.evaluation.metrics.choice import find_letter

DIFFERS = (
    "no language model reads the answer out of a sentence, and the most similar option is not guessed: an answer must "
    "name an option's letter, be its text, or be the number or list alone"
)
BRACKETED = re.compile(r"\(([a-zA-Z])\)")
INTEGER = re.compile(r"-?\d+")
DECIMAL = re.compile(r"-?\d*\.(\d+)")


def mathvista(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is a right option, or equals a number after rounding to its decimals.

    The references are the letter of an option and its text, or one number or list.
    """
    answer = prediction.strip()
    letters = [reference for reference in references if is_letter(reference)]
    if letters:
        bracketed = BRACKETED.search(answer)
        letter = bracketed[1].upper() if bracketed else find_letter(answer)
        return float(answer in references or letter in letters)
    return float(any(round_like(answer, reference) == reference for reference in references))


def round_like(answer: str, reference: str) -> str:
    """The answer as a number like the reference: cut to an integer, or rounded to its decimals; else unchanged."""
    decimal = DECIMAL.fullmatch(reference)
    try:
        if decimal:
            return str(round(float(answer), len(decimal[1])))
        return str(int(float(answer))) if INTEGER.fullmatch(reference) else answer
    except (ValueError, OverflowError):  # no number, or none that is finite
        return answer
