"""Letters of options as the official scripts of four benchmarks read them: strictly, each in its own way."""

import re
from collections.abc import Sequence

from eaglebench.evaluation.metrics.base import find_right_letters
from eaglebench.evaluation.metrics.exact import remove_punctuation

LETTER_AND_STOP = re.compile(r"\s*([A-Z])\.")
# MMVP's, in their order; the first that occurs decides.
EITHER = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r"^\(?([AB])\)?[.\s]", r"answer\s+is\s+\(?([AB])", r"option\s+\(?([AB])", r"([AB])\)?(?:\s|$)")
)


def seed(prediction: str, references: Sequence[str]) -> float:
    """1 if the first character of the answer is the right letter, whatever follows (SEED).

    Raises:
        UserError: no reference is a letter.
    """
    return compare("seed", prediction.strip()[:1], references)


def ai2d(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer begins with the right capital and a full stop, or is that letter but for case and signs (AI2D).

    Raises:
        UserError: no reference is a letter.
    """
    match = LETTER_AND_STOP.match(prediction)
    return compare("ai2d", match[1] if match else remove_punctuation(prediction.strip()), references)


def scienceqa(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is the right letter, or begins with it as a capital and a full stop (ScienceQA).

    Raises:
        UserError: no reference is a letter.
    """
    match = LETTER_AND_STOP.match(prediction)
    return compare("scienceqa", match[1] if match else prediction.strip(), references)


def mmvp(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer names the right one of the letters A and B (MMVP).

    Raises:
        UserError: no reference is a letter.
    """
    text = prediction.strip()
    found = next(filter(None, (pattern.search(text) for pattern in EITHER)), None)
    return compare("mmvp", found[1] if found else text[:1], references)


def compare(metric: str, answer: str, references: Sequence[str]) -> float:
    """1 if an answer is a right letter, ignoring case.

    Raises:
        UserError: no reference is a letter.
    """
    return float(answer.lower() in (letter.lower() for letter in find_right_letters(metric, references)))
