"""POPE: answers that are yes or no alone, and the F1 of yes."""

from collections.abc import Sequence

from eaglebench.evaluation.metrics.rows import AnswerRows
from eaglebench.evaluation.metrics.yes_no import NO, YES, find_truths


def pope(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer is the reference, yes or no, but for case; a full stop or any more words make it wrong.

    Raises:
        UserError: no reference is yes or no.
    """
    return float(normalise(prediction) in find_truths("pope", references))


def yes_precision(rows: AnswerRows) -> float:
    """The share of answers `yes` that are right, in [0, 1]; 0 if there are none."""
    return compute_share([truth == YES for answer, truth in parse_rows(rows) if answer == YES])


def yes_recall(rows: AnswerRows) -> float:
    """The share of answers `yes` among the answers `yes` and `no` to questions whose reference is `yes`.

    In [0, 1]; 0 if there are none. As in the official script, other answers do not count.
    """
    return compute_share([answer == YES for answer, truth in parse_rows(rows) if truth == YES and answer in (YES, NO)])


def yes_f1(rows: AnswerRows) -> float:
    """The harmonic mean of precision and recall of yes, over all rows together; 0 if no yes is right."""
    precision, recall = yes_precision(rows), yes_recall(rows)
    return 2 * precision * recall / (precision + recall) if precision and recall else 0.0


def parse_rows(rows: AnswerRows) -> list[tuple[str, str]]:
    """The normalised answers and their first references."""
    return [(normalise(row["prediction"]), normalise(row["references"][0])) for row in rows]


def normalise(text: str) -> str:
    """The text in lower case without surrounding spaces."""
    return text.lower().strip()


def compute_share(hits: Sequence[bool]) -> float:
    """The share of true values, in [0, 1]; 0 for an empty list."""
    return sum(hits) / len(hits) if hits else 0.0
