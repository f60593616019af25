"""Multiple choice: SEED, AI2D, ScienceQA, MMBench, MMMU, RealWorldQA and MMVP."""

import re
from collections.abc import Sequence

from eaglebench.evaluation.metrics.exact import normalised

ANOTHER = r"(?!\s*(?:,|/|&|or\b|and\b)\s*[(\[]?[A-Za-z]\b(?!'))"  # of two letters, none is the answer
# From the plainest form on; the first that is found decides.
FORMS = (
    re.compile(rf"[(\[]?([A-Za-z])(?:[)\].:]+|$){ANOTHER}"),  # B   B.   (B)   B: the text
    re.compile(rf".*\b(?i:answer|option|choice)(?i:\s+is)?:?\s*[(\[]?([A-Z])\b(?!'){ANOTHER}", re.DOTALL),
    re.compile(r".*\b(?i:answer|option|choice)(?i:\s+is)?:?\s*[(\[]?([a-z])[)\]]?\.?$", re.DOTALL),
    re.compile(r"[^()]*\(([A-Z])\)[^()]*$"),  # one letter in brackets, anywhere
)


def choice(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is a reference, or gives the letter that is one.

    A question's references are the letter of the right option and, where it is known, its text. An answer with two letters, or
    with none, is wrong.
    """
    if normalised(prediction) in map(normalised, references):
        return 1.0
    given = letter(prediction)
    return float(given is not None and given in (reference.strip().upper() for reference in references))


def letter(text: str) -> str | None:
    """The one option letter that a text gives, upper case; None if there is none."""
    found = (form.match(text.strip()) for form in FORMS)
    return next((match[1].upper() for match in found if match), None)
