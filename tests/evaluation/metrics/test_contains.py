"""OCRBench's containment."""

import pytest

from eaglebench.evaluation.metrics.contains import contains, contains_formula


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("The word is CENTRE.", ["centre"], 1),
        ("centre", ["The centre"], 0),
        ("cen tre", ["centre"], 0),
        ("two\nlines", ["two lines"], 1),
        ("total 12.50", ["13", "12.50"], 1),
        ("", ["centre"], 0),
        ("CAFÉ", ["café"], 1),
        ("\uff23\uff21\uff26\uff25\uff01", ["cafe!"], 1),  # full width
        ("cafe", ["\uff43\uff41\uff46\uff45"], 1),
        ("two\u3000words", ["two words"], 1),
    ],
)
def test_contains(prediction: str, references: list[str], score: float) -> None:
    assert contains(prediction, references) == score


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        (r"\frac{1}{2}", [r"\frac { 1 } { 2 }"], 1),
        ("so x + 2\n= 3", ["x+2=3"], 1),
        ("X+2=3", ["x+2=3"], 0),
        ("", ["x"], 0),
        ("y", ["x", "y"], 1),
        ("\uff58", ["x"], 0),  # full width counts
        ("x\t+2", ["x+2"], 0),  # as do tabs within
    ],
)
def test_contains_formula(prediction: str, references: list[str], score: float) -> None:
    assert contains_formula(prediction, references) == score
