"""One figure for all answers: MME's pairs of questions, OCRBench's count, MMBench's rotations."""

from typing import Any

import pytest

from eaglebench.evaluation.metrics import AGGREGATES
from eaglebench.evaluation.metrics.aggregate import find_rotated
from eaglebench.evaluation.metrics.mme import PERCEPTION, score_mme_categories, sum_perception


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
    assert sum_perception(rows) == 125.0


def test_an_image_of_two_categories_is_one_of_each() -> None:
    rows = [row("count", "a", 1), row("count", "a", 1), row("color", "a", 0), row("color", "a", 1)]
    assert score_mme_categories(rows) == {"count": (100.0, 100.0), "color": (50.0, 0.0)}


@pytest.mark.parametrize(("score", "total"), [(1, 2000), (0, 0)])
def test_mme_goes_from_0_to_2000(score: float, total: float) -> None:
    assert sum_perception([row(category, image, score) for category in PERCEPTION for image in "aabb"]) == total


def test_cognition_does_not_count() -> None:
    assert sum_perception([row("code_reasoning", "a", 1), row("code_reasoning", "a", 1), row("OCR", "b", 0)]) == 0


@pytest.mark.parametrize(
    ("identity", "rotated"),
    [("241", "241"), ("1000241", "241"), ("3000241", "241"), ("1000000", "0"), ("0", "0"), ("q-7", "q-7"), ("", "")],
)
def test_a_rotation_of_mmbench_is_of_its_question(identity: str, rotated: str) -> None:
    assert find_rotated(identity) == rotated


def test_a_question_is_right_where_all_its_rotations_are() -> None:
    rows = [
        {"score": score, "meta": {"rotations_of": question}}
        for question, score in (("1", 1), ("1", 1), ("2", 1), ("2", 0))
    ]
    assert AGGREGATES["circular"](rows) == 0.5
