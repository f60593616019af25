"""POPE's figures over many answers, which are yes or no alone."""

from typing import Any

import pytest

from eaglebench.evaluation.metrics import AGGREGATES
from eaglebench.evaluation.metrics.pope import pope, yes_precision, yes_recall


def rows(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"prediction": prediction, "references": [reference]} for prediction, reference in pairs]


@pytest.mark.parametrize(
    ("prediction", "score"), [("yes", 1), (" YES\n", 1), ("yes.", 0), ("Yes, it is", 0), ("y", 0), ("no", 0), ("", 0)]
)
def test_an_answer_is_one_word(prediction: str, score: float) -> None:
    assert pope(prediction, ["yes"]) == score


def test_figures_of_many_answers() -> None:
    # 2 right and 1 wrong yes; 1 question whose yes was denied, and 2 that were answered with neither.
    asked = rows(
        ("yes", "yes"), ("Yes ", "yes"), ("yes", "no"), ("no", "yes"), ("hm", "yes"), ("Yes.", "yes"), ("no", "no"),
    )  # fmt: skip
    assert yes_precision(asked) == pytest.approx(2 / 3)
    assert yes_recall(asked) == pytest.approx(2 / 3)  # of the answers yes and no alone
    assert AGGREGATES["yes_f1"](asked) == pytest.approx(2 / 3)


@pytest.mark.parametrize("asked", [rows(("no", "no"), ("no", "yes")), rows(("yes", "no")), rows(("no", "no"))])
def test_no_right_yes_gives_nothing(asked: list[dict[str, Any]]) -> None:
    assert AGGREGATES["yes_f1"](asked) == 0
