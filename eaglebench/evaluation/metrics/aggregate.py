"""One figure for all answers to a benchmark."""

from statistics import fmean

from eaglebench.evaluation.metrics.rows import Rows

PERCENT = 100
# MME's other four categories are its cognition, which Eagle does not count (section 7 of its tables: perception only).
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


def mean(rows: Rows) -> float:
    """The mean score, in [0, 1]."""
    return fmean(row["score"] for row in rows)


def count(rows: Rows) -> float:
    """How many answers are right: OCRBench's figure, of 1000."""
    return float(sum(row["score"] for row in rows))


def groups(rows: Rows) -> float:
    """The part of the categories whose answers are all right, in [0, 1]: MMVP's figure, a category being a pair of images."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["meta"]["category"], []).append(row["score"])
    return fmean(min(of_group) for of_group in scores.values())


def mme(rows: Rows) -> float:
    """MME perception: the sum over its ten categories of accuracy and accuracy+, from 0 to 2000."""
    return sum(sum(figures) for category, figures in mme_categories(rows).items() if category in PERCEPTION)


def mme_categories(rows: Rows) -> dict[str, tuple[float, float]]:
    """Of each category its accuracy, and its accuracy+ (images whose questions are all right), both in percent."""
    images: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        images.setdefault(row["meta"]["category"], {}).setdefault(row["meta"]["image"], []).append(row["score"])
    return {
        category: (
            PERCENT * fmean(score for scores in of_images.values() for score in scores),
            PERCENT * fmean(min(scores) for scores in of_images.values()),
        )
        for category, of_images in images.items()
    }
