"""Answers that must be the reference."""

import pytest

from eaglebench.evaluation.metrics.exact import exact, exact_words


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("red", ["red"], 1),
        (" Red. ", ["red"], 1),
        ("reds", ["red"], 0),
        ("", ["red"], 0),
        ("top  left", ["top left"], 1),
        ("", [""], 1),
        ("crimson", ["red", "Crimson"], 1),
        ("ÉTÉ", ["été"], 1),
        ("t-shirt", ["tshirt"], 0),
    ],
)
def test_exact(prediction: str, references: list[str], score: float) -> None:
    assert exact(prediction, references) == score


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("T-shirt!", ["tshirt"], 1),
        (" dog.\n", ["dog"], 1),
        ("yes - it is", ["yes it is"], 0),  # two spaces stay
        ("- dog", ["dog"], 0),
        ("yes, it is", ["yes it is"], 1),
        ("the dog", ["dog"], 0),
        ("", ["dog"], 0),
        ("dog", ["cat", "dog"], 1),
    ],
)
def test_exact_words(prediction: str, references: list[str], score: float) -> None:
    assert exact_words(prediction, references) == score
