"""Letters of options, as models write them."""

import pytest

from eaglebench.evaluation.metrics.choice import choice, find_letter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", "B"),
        (" b ", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("[b]", "B"),
        ("B: a red car", "B"),
        ("B) a red car", "B"),
        ("(B) a red car", "B"),
        ("The answer is B", "B"),
        ("The answer is (B).", "B"),
        ("The correct option is b.", "B"),
        ("Answer: D", "D"),
        ("The answer is A. No: the answer is C.", "C"),  # the last word
        ("I think (C) is right", "C"),
        ("A red car", None),  # an article
        ("The answer is a red car", None),
        ("I'm not sure", None),
        ("option I'd take", None),
        ("A or B", None),
        ("(A) or (B)", None),
        ("A, B", None),
        ("The answer is A or B", None),
        ("either (A), (B)", None),
        ("Because", None),
        ("", None),
        ("É", None),
    ],
)
def test_letter(text: str, expected: str | None) -> None:
    assert find_letter(text) == expected


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("B", ["B"], 1),
        ("b.", ["B"], 1),
        ("A", ["B"], 0),
        ("", ["B"], 0),
        ("A or B", ["B"], 0),
        ("A red car", ["B", "a red car"], 1),  # the option's text
        ("A red car", ["A", "a blue car"], 0),
        ("B. a red car", ["B", "a red car"], 1),
        ("no", ["A", "No"], 1),
        ("4", ["C", "4"], 1),
    ],
)
def test_choice(prediction: str, references: list[str], score: float) -> None:
    assert choice(prediction, references) == score
