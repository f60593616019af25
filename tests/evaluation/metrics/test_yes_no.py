"""Yes or no, and POPE's figures over many answers."""

import pytest

from eaglebench.evaluation.metrics import AGGREGATES
from eaglebench.evaluation.metrics.yes_no import parse_yes_no, yes_no, yes_precision, yes_recall


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        ("Y", "yes"),
        ("n", "no"),
        ("No, there is a cat. Yes, one.", "no"),
        ("The answer is yes.", "yes"),
        ("There is no dog", "no"),
        ("It is not a dog", "no"),
        ("yes or no", "yes"),
        ("either yes or no", None),
        ("Nothing", None),
        ("maybe", None),
        ("", None),
    ],
)
def test_parse_yes_no(text: str, expected: str | None) -> None:
    assert parse_yes_no(text) == expected


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [("YES", ["yes"], 1), ("No", ["Yes"], 0), ("", ["no"], 0), ("perhaps", ["perhaps"], 0), ("no", ["yes", "no"], 1)],
)
def test_yes_no(prediction: str, references: list[str], score: float) -> None:
    assert yes_no(prediction, references) == score


def rows(*pairs: tuple[str, str]) -> list[dict[str, object]]:
    return [{"prediction": prediction, "references": [reference]} for prediction, reference in pairs]


def test_figures_of_many_answers() -> None:
    # 3 right and 1 wrong yes; 2 questions whose yes was missed, one of them by saying nothing.
    asked = rows(
        ("yes", "yes"), ("Yes.", "yes"), ("yes", "yes"), ("yes", "no"),
        ("no", "yes"), ("hm", "yes"), ("no", "no"), ("No", "no"),
    )  # fmt: skip
    assert yes_precision(asked) == 3 / 4
    assert yes_recall(asked) == 3 / 5
    assert AGGREGATES["yes_f1"](asked) == pytest.approx(2 / 3)


@pytest.mark.parametrize("asked", [rows(("no", "no"), ("no", "yes")), rows(("yes", "no")), rows(("no", "no"))])
def test_no_right_yes_gives_nothing(asked: list[dict[str, object]]) -> None:
    assert AGGREGATES["yes_f1"](asked) == 0
