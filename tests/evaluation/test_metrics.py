"""Golden cases of the metrics, from their definitions."""

import pytest

from eaglebench.evaluation.metrics import anls, exact, relaxed


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("red", "red", 1),
        (" Red. ", "red", 1),
        ("reds", "red", 0),
        ("", "red", 0),
        ("top  left", "top left", 1),
        ("", "", 1),
    ],
)
def test_exact(prediction: str, reference: str, score: float) -> None:
    assert exact(prediction, reference) == score


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("427", "427", 1.0),
        ("428", "427", 2 / 3),
        ("48", "47", 0.0),  # a distance of a half scores nothing
        ("HELLO", "hello", 1.0),
        ("hallo", "hello", 0.8),
        ("", "hello", 0.0),
        ("hello there", "hello", 0.0),
    ],
)
def test_anls(prediction: str, reference: str, score: float) -> None:
    assert anls(prediction, reference) == pytest.approx(score)


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("100", "100", 1),
        ("105", "100", 1),
        ("95", "100", 1),
        ("105.1", "100", 0),
        ("1,050", "1000", 1),
        ("52%", "50", 1),
        ("-1", "1", 0),
        ("0", "0", 1),
        ("0.1", "0", 0),
        ("Red", "red", 1),
        ("red", "7", 0),
        ("nan", "7", 0),
        ("", "7", 0),
    ],
)
def test_relaxed(prediction: str, reference: str, score: float) -> None:
    assert relaxed(prediction, reference) == score
