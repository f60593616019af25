"""Yes/no questions of your own data: an answer may be a sentence."""

import re
from collections.abc import Callable, Sequence

from eaglebench.utils.errors import UserError

DIFFERS = "yes and no are found in a sentence too; pope and mme are the official metrics of these benchmarks"
YES, NO = "yes", "no"
FIRST_WORD = {"yes": YES, "y": YES, "no": NO, "n": NO}
ANYWHERE = {"yes": YES, "no": NO, "not": NO}


def yes_no(prediction: str, references: Sequence[str]) -> float:
    """1 if answer and reference agree on yes or no; an answer with neither, or both, is wrong.

    Raises:
        UserError: no reference is yes or no.
    """
    return float(parse_yes_no(prediction) in find_truths("yes_no", references, parse_yes_no))


def parse_yes_no(text: str) -> str | None:
    """`yes` or `no`, by the first word or else by the only such word of the text; None for neither or both."""
    words = re.findall(r"\w+", text.lower())
    if words and words[0] in FIRST_WORD:
        return FIRST_WORD[words[0]]
    found = {ANYWHERE[word] for word in words if word in ANYWHERE}
    return found.pop() if len(found) == 1 else None


def read_word(text: str) -> str | None:
    """`yes` or `no` if a text is nothing else, but for case and full stops; else None."""
    word = text.lower().strip(" .")
    return word if word in (YES, NO) else None


def find_truths(metric: str, references: Sequence[str], read: Callable[[str], str | None] = read_word) -> list[str]:
    """The references as `yes` or `no`.

    Raises:
        UserError: none is either, so that no answer could be right.
    """
    truths = [truth for truth in map(read, references) if truth is not None]
    if not truths:
        raise UserError(f"the metric {metric} needs yes or no as the reference, and got {references[0]!r}.")
    return truths
