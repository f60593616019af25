"""Aggregates: one number for all answers to a benchmark."""

from statistics import fmean

from eaglebench.evaluation.metrics.rows import AnswerRows

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


def mean(rows: AnswerRows) -> float:
    """The mean score, in [0, 1]."""
    return fmean(row["score"] for row in rows)


def count(rows: AnswerRows) -> float:
    """The number of right answers: OCRBench's score, of 1000."""
    return float(sum(row["score"] for row in rows))


def groups(rows: AnswerRows) -> float:
    """The share of categories with all answers right, in [0, 1]: MMVP's score, where a category is a pair of images."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["meta"]["category"], []).append(row["score"])
    return fmean(min(group) for group in scores.values())


def mme(rows: AnswerRows) -> float:
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
