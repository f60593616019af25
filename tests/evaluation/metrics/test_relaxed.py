"""Relaxed accuracy: 5 % of the reference for numbers, the same text but for case for the rest."""

import pytest

from eaglebench.evaluation.metrics.relaxed import relaxed


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("100", ["100"], 1),
        ("105", ["100"], 1),
        ("95", ["100"], 1),
        ("105.1", ["100"], 0),
        ("94.9", ["100"], 0),
        ("-1", ["1"], 0),
        ("-1.04", ["-1"], 1),
        ("1e2", ["100"], 1),
        ("52%", ["0.5"], 1),  # a percentage is a number of hundredths
        ("52%", ["50%"], 1),
        ("52%", ["50"], 0),
        ("1,050", ["1000"], 0),  # a separator of thousands makes it a text
        ("1,050", ["1,050"], 1),
        ("0", ["0"], 1),  # 0 has no 5 %
        ("0.0", ["0"], 0),
        ("Red ", ["red"], 1),
        ("red.", ["red"], 0),
        ("red", ["7"], 0),
        ("7", ["red"], 0),
        ("52%%", ["0.5"], 1),
        ("nan", ["7"], 0),
        ("inf", ["7"], 0),
        ("nan", ["nan"], 0),  # close to nothing
        ("inf", ["inf"], 0),
        ("", ["7"], 0),
        ("9", ["7", "9"], 1),
        ("\uff12\uff10", ["20"], 1),  # full-width digits
    ],
)
def test_relaxed(prediction: str, references: list[str], score: float) -> None:
    assert relaxed(prediction, references) == score
