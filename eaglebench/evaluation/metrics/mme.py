"""MME: yes or no at the beginning of an answer, and the sum of accuracies over categories."""

from collections.abc import Sequence
from statistics import fmean

from eaglebench.evaluation.metrics.rows import AnswerRows
from eaglebench.evaluation.metrics.yes_no import FIRST_WORD, NO, YES, find_truths

BEGINNING = 4  # characters in which yes or no must stand
PERCENT = 100
# MME's other four categories are its cognition score, which Eagle does not count (section 7 of its tables).
PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)


def mme(prediction: str, references: Sequence[str]) -> float:
    """1 if the answer begins with the reference, yes or no.

    Raises:
        UserError: no reference is yes or no.
    """
    return float(find_beginning(prediction) in find_truths("mme", references))


def find_beginning(answer: str) -> str | None:
    """`yes` or `no` if it stands anywhere in the first four characters, as in "know"; `y` and `n` count alone."""
    text = answer.lower().strip().replace(".", "")
    if len(text) == 1:
        return FIRST_WORD.get(text)
    return next((word for word in (YES, NO) if word in text[:BEGINNING]), None)


def sum_perception(rows: AnswerRows) -> float:
    """MME perception: the sum over its ten categories of accuracy and accuracy+, from 0 to 2000."""
    return sum(sum(percents) for category, percents in score_mme_categories(rows).items() if category in PERCEPTION)


def score_mme_categories(rows: AnswerRows) -> dict[str, tuple[float, float]]:
    """The accuracy and accuracy+ of each category, in percent.

    Accuracy+ is the share of images whose questions are all answered right.
    """
    images: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        images.setdefault(row["meta"]["category"], {}).setdefault(row["meta"]["image"], []).append(row["score"])
    return {
        category: (
            PERCENT * fmean(score for scores in by_image.values() for score in scores),
            PERCENT * fmean(min(scores) for scores in by_image.values()),
        )
        for category, by_image in images.items()
    }
