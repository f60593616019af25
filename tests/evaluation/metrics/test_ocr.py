"""GOT's metrics of transcriptions."""

import math

import pytest

from eaglebench.evaluation.metrics.ocr import bleu, edit, f1, meteor, precision, recall


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("abcd", ["abcd"], 1.0),
        ("abxd", ["abcd"], 0.75),
        ("", ["abcd"], 0.0),
        ("", [""], 1.0),
        ("ABCD", ["abcd"], 0.0),  # case counts
        ("abxd", ["zzzz", "abcd"], 0.75),
        ("éa", ["ea"], 0.5),
    ],
)
def test_edit(prediction: str, references: list[str], score: float) -> None:
    assert edit(prediction, references) == pytest.approx(score)


@pytest.mark.parametrize(
    ("prediction", "references", "found", "kept", "both"),
    [
        ("the cat sat", ["the cat sat"], 1, 1, 1),
        ("the the cat", ["the cat sat on"], 1, 0.5, 2 / 3),  # of different words
        ("dog", ["cat"], 0, 0, 0),
        ("", ["cat"], 0, 0, 0),
        ("cat", [""], 0, 0, 0),
        ("", [""], 1, 1, 1),
        ("a b", ["c", "a b c d"], 1, 0.5, 2 / 3),
    ],
)
def test_words(prediction: str, references: list[str], found: float, kept: float, both: float) -> None:
    assert precision(prediction, references) == pytest.approx(found)
    assert recall(prediction, references) == pytest.approx(kept)
    assert f1(prediction, references) == pytest.approx(both)


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("a b c d e", ["a b c d e"], 1.0),
        # 5, 4, 3 and 2 of the runs of one to four words, and a brevity of exp(1 - 6/5).
        ("a b c d e", ["a b c d e f"], math.exp(-1 / 5)),
        # Runs: 5 of 6, 3 of 5, 2 of 4, 1 of 3.
        ("a b c d x f", ["a b c d e f"], (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),
        ("a b c d e", ["z", "a b c d e"], 1.0),
        ("a b c", ["a b c"], 0.0),
        ("", ["a b c d"], 0.0),
    ],
)
def test_bleu(prediction: str, references: list[str], score: float) -> None:
    assert bleu(prediction, references) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        # One chunk of three words: 1 - 0.5 * (1/3)^3.
        ("the cat sat", ["the cat sat"], 1 - 0.5 / 27),
        ("the cats sat", ["the cat sat"], 1 - 0.5 / 27),  # equal stems
        ("The Cat Sat", ["the cat sat"], 1 - 0.5 / 27),
        # Precision 1, recall 2/3, weighted P R / (0.9 P + 0.1 R); one chunk of two words.
        ("the cat", ["the cat sat"], (2 / 3) / (0.9 * 1 + 0.1 * 2 / 3) * (1 - 0.5 / 8)),
        ("big", ["large"], 0.0),  # synonyms do not match
        ("", ["the cat"], 0.0),
        ("the cat sat", ["dog", "the cat sat"], 1 - 0.5 / 27),
    ],
)  # fmt: skip
def test_meteor(prediction: str, references: list[str], score: float) -> None:
    assert meteor(prediction, references) == pytest.approx(score)
