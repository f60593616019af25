"""Questions of yes or no: POPE and MME."""

import re
from collections.abc import Sequence

from eaglebench.evaluation.metrics.rows import Rows

YES, NO = "yes", "no"
MEANING = {"yes": YES, "y": YES, "no": NO, "n": NO}  # as the first word
ANYWHERE = {"yes": YES, "no": NO, "not": NO}


def said(text: str) -> str | None:
    """`yes` or `no`, by the first word or else by the only such word of the text; None if it says neither, or both."""
    words = re.findall(r"\w+", text.lower())
    if words and words[0] in MEANING:
        return MEANING[words[0]]
    meant = {ANYWHERE[word] for word in words if word in ANYWHERE}
    return meant.pop() if len(meant) == 1 else None


def yes_no(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer says what a reference says; an answer that says neither yes nor no is wrong."""
    answer = said(prediction)
    return float(answer is not None and answer in map(said, references))


def yes_precision(rows: Rows) -> float:
    """Of the answers yes, the part that is right; 0 if there is none."""
    answers, truths = both(rows)
    return part([truth == YES for answer, truth in zip(answers, truths, strict=True) if answer == YES])


def yes_recall(rows: Rows) -> float:
    """Of the questions whose answer is yes, the part that was answered so; 0 if there is none."""
    answers, truths = both(rows)
    return part([answer == YES for answer, truth in zip(answers, truths, strict=True) if truth == YES])


def yes_f1(rows: Rows) -> float:
    """The harmonic mean of precision and recall of yes, over all rows together (POPE); 0 if no yes is right."""
    precision, recall = yes_precision(rows), yes_recall(rows)
    return 2 * precision * recall / (precision + recall) if precision and recall else 0.0


def both(rows: Rows) -> tuple[list[str | None], list[str | None]]:
    """What each answer says, and what its reference says."""
    return [said(row["prediction"]) for row in rows], [said(row["references"][0]) for row in rows]


def part(hits: Sequence[bool]) -> float:
    """The part that is true; 0 of nothing."""
    return sum(hits) / len(hits) if hits else 0.0
