"""One figure for all answers: MME's pairs of questions, OCRBench's count."""

from typing import Any

import pytest

from eaglebench.evaluation.metrics import AGGREGATES, METRICS
from eaglebench.evaluation.metrics.aggregate import PERCEPTION, mme, score_mme_categories


def row(category: str, image: str, score: float) -> dict[str, Any]:
    return {"prediction": "", "references": [""], "score": score, "meta": {"category": category, "image": image}}


def test_mean_and_count() -> None:
    rows = [row("x", "a", score) for score in (1, 0, 1, 0.5)]
    assert AGGREGATES["mean"](rows) == 0.625
    assert AGGREGATES["count"](rows) == 2.5


def test_groups_are_right_where_all_their_answers_are() -> None:
    rows = [row("1", "a", 1), row("1", "b", 1), row("2", "c", 1), row("2", "d", 0)]
    assert AGGREGATES["groups"](rows) == 0.5


def test_mme_counts_answers_and_images_that_are_all_right() -> None:
    rows = [row("count", "a", 1), row("count", "a", 1), row("count", "b", 1), row("count", "b", 0)]
    assert score_mme_categories(rows) == {"count": (75.0, 50.0)}
    assert mme(rows) == 125.0


def test_an_image_of_two_categories_is_one_of_each() -> None:
    rows = [row("count", "a", 1), row("count", "a", 1), row("color", "a", 0), row("color", "a", 1)]
    assert score_mme_categories(rows) == {"count": (100.0, 100.0), "color": (50.0, 0.0)}


@pytest.mark.parametrize(("score", "total"), [(1, 2000), (0, 0)])
def test_mme_goes_from_0_to_2000(score: float, total: float) -> None:
    assert mme([row(category, image, score) for category in PERCEPTION for image in "aabb"]) == total


def test_cognition_does_not_count() -> None:
    assert mme([row("code_reasoning", "a", 1), row("code_reasoning", "a", 1), row("OCR", "b", 0)]) == 0


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("answer", ["", "yes", "B.", "12 %", "ünïcode 日本 x"])
def test_every_metric_gives_a_fraction(name: str, answer: str) -> None:
    assert 0 <= METRICS[name](answer, ["yes", "B", "12", "x"]) <= 1
