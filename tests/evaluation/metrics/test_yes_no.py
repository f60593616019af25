"""Yes or no in answers to questions of your own."""

import pytest

from eaglebench.evaluation.metrics.yes_no import parse_yes_no, yes_no


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
    [
        ("YES", ["yes"], 1),
        ("No", ["Yes"], 0),
        ("", ["no"], 0),
        ("no", ["yes", "no"], 1),
        ("yes", ["Yes, there is."], 1),
    ],
)
def test_yes_no(prediction: str, references: list[str], score: float) -> None:
    assert yes_no(prediction, references) == score
