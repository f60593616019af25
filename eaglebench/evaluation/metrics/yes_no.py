"""Yes/no questions: POPE and MME."""

import re
from collections.abc import Sequence

from eaglebench.evaluation.metrics.rows import AnswerRows

YES, NO = "yes", "no"
FIRST_WORD = {"yes": YES, "y": YES, "no": NO, "n": NO}
ANYWHERE = {"yes": YES, "no": NO, "not": NO}


def parse_yes_no(text: str) -> str | None:
    """`yes` or `no`, by the first word or else by the only such word of the text; None for neither or both."""
    words = re.findall(r"\w+", text.lower())
    if words and words[0] in FIRST_WORD:
        return FIRST_WORD[words[0]]
    found = {ANYWHERE[word] for word in words if word in ANYWHERE}
    return found.pop() if len(found) == 1 else None


def yes_no(prediction: str, references: Sequence[str]) -> float:
    """1 if answer and reference agree on yes or no; an answer with neither, or both, is wrong."""
    answer = parse_yes_no(prediction)
    return float(answer is not None and answer in map(parse_yes_no, references))


def yes_precision(rows: AnswerRows) -> float:
    """The share of answers `yes` that are right, in [0, 1]; 0 if there are none."""
    answers, truths = parse_rows(rows)
    return compute_share([truth == YES for answer, truth in zip(answers, truths, strict=True) if answer == YES])


def yes_recall(rows: AnswerRows) -> float:
    """The share of questions with the reference `yes` that are answered `yes`, in [0, 1]; 0 if there are none."""
    answers, truths = parse_rows(rows)
    return compute_share([answer == YES for answer, truth in zip(answers, truths, strict=True) if truth == YES])


def yes_f1(rows: AnswerRows) -> float:
    """The harmonic mean of precision and recall of yes, over all rows together (POPE); 0 if no yes is right."""
    precision, recall = yes_precision(rows), yes_recall(rows)
    return 2 * precision * recall / (precision + recall) if precision and recall else 0.0


def parse_rows(rows: AnswerRows) -> tuple[list[str | None], list[str | None]]:
    """The answers and their first references as `yes`, `no` or None."""
    return [parse_yes_no(row["prediction"]) for row in rows], [parse_yes_no(row["references"][0]) for row in rows]


def compute_share(hits: Sequence[bool]) -> float:
    """The share of true values, in [0, 1]; 0 for an empty list."""
    return sum(hits) / len(hits) if hits else 0.0
