"""Aggregates: one number for all answers to a benchmark."""

from collections.abc import Callable
from statistics import fmean

from eaglebench.evaluation.metrics.rows import AnswerRow, AnswerRows

# MMBench asks a question again with its options rotated, under its number plus one million, two million and so on.
DIGITS = 6


def mean(rows: AnswerRows) -> float:
    """The mean score, in [0, 1]."""
    return fmean(row["score"] for row in rows)


def count(rows: AnswerRows) -> float:
    """The number of right answers: OCRBench's score, of 1000."""
    return float(sum(row["score"] for row in rows))


def groups(rows: AnswerRows) -> float:
    """The share of categories with all answers right, in [0, 1]: MMVP's score, where a category is a pair of images."""
    return average_groups(rows, lambda row: str(row["meta"]["category"]))


def circular(rows: AnswerRows) -> float:
    """The share of questions that are right in every rotation of their options, in [0, 1]: MMBench's score."""
    return average_groups(rows, lambda row: str(row["meta"]["rotations_of"]))


def average_groups(rows: AnswerRows, key: Callable[[AnswerRow], str]) -> float:
    """The mean over groups of rows of the lowest score in each."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(key(row), []).append(row["score"])
    return fmean(min(group) for group in scores.values())


def find_rotated(identity: str) -> str:
    """The number of the question that a question of MMBench is a rotation of; any other id unchanged."""
    return (identity[-DIGITS:].lstrip("0") or "0") if identity.isdecimal() else identity
