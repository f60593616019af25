"""ANLS, by its definition: 1 - distance / longer length, nothing below a half, the best reference."""

import pytest

from eaglebench.evaluation.metrics.anls import anls


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("427", ["427"], 1.0),
        ("428", ["427"], 2 / 3),
        ("48", ["47"], 0.5),  # a half counts
        ("12", ["13"], 0.5),
        ("12", ["345"], 0.0),
        ("abcd", ["abxyz"], 0.0),
        ("abc", ["abcde"], 0.6),
        ("HELLO", ["hello"], 1.0),
        ("hallo", ["hello"], 0.8),
        ("", ["hello"], 0.0),
        ("hello there", ["hello"], 0.0),
        ("Acme Inc.", ["Acme Inc"], 8 / 9),  # punctuation counts
        (" acme   inc ", ["Acme Inc"], 1.0),
        ("acme   ink", ["Acme Inc"], 0.9),  # one of ten characters, as they were written
        ("hallo", ["other", "hello", "hullo"], 0.8),
        ("naïve", ["naive"], 0.8),
        ("日本語", ["日本国"], 2 / 3),
    ],
)
def test_anls(prediction: str, references: list[str], score: float) -> None:
    assert anls(prediction, references) == pytest.approx(score)
