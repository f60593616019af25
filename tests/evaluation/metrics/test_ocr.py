"""GOT's metrics of transcriptions."""

import importlib.util
import math
import tempfile
import warnings
from pathlib import Path

import nltk
import pytest

from eaglebench.evaluation.metrics.ocr import bleu, edit, f1, meteor, precision, recall
from eaglebench.evaluation.metrics.ocr_scene import scene_bleu, scene_f1, scene_meteor, scene_precision, scene_recall
from eaglebench.evaluation.metrics.words import load_jieba, split_words

needs_jieba = pytest.mark.skipif(importlib.util.find_spec("jieba") is None, reason="jieba is not installed")
SCENE = (scene_precision, scene_recall, scene_f1)
WEATHER = ("今天天气很好", "今天天气不好")


@pytest.mark.parametrize(
    ("prediction", "references", "score"),
    [
        ("abcd", ["abcd"], 1.0),
        ("abxd", ["abcd"], 0.75),
        ("", ["abcd"], 0.0),
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
        ("", ["  "], 1, 1, 1),
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
        ("a b c", ["a b c"], 0.0),  # no four words in a row: as NLTK and GOT, without smoothing
        ("a", ["a"], 0.0),
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


@needs_jieba
def test_chinese_pages_are_split_by_jieba() -> None:
    assert split_words(WEATHER[0], WEATHER[1:]) == (["今天天气", "很", "好"], [["今天天气", "不好"]])
    assert precision(WEATHER[0], WEATHER[1:]) == pytest.approx(1 / 3)
    assert recall(WEATHER[0], WEATHER[1:]) == pytest.approx(1 / 2)
    assert f1(WEATHER[0], WEATHER[1:]) == pytest.approx(0.4)
    assert f1(WEATHER[0], WEATHER[:1]) == 1


@needs_jieba
def test_spaces_in_chinese_count_as_words() -> None:
    assert split_words("用 GOT", ["用"])[0] == ["用", " ", "GOT"]


@needs_jieba
def test_jieba_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load_jieba.cache_clear()
    assert f1(WEATHER[0], WEATHER[:1]) == 1
    assert not list(tmp_path.iterdir())


def test_the_reference_decides_on_jieba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eaglebench.evaluation.metrics.words.load_jieba", lambda: pytest.fail("not needed"))
    assert split_words("今天 sun", ["the sun"]) == (["今天", "sun"], [["the", "sun"]])


def test_scenes_are_split_into_characters() -> None:
    """今, 天, 气 and 好 of five each are common."""
    assert scene_precision(WEATHER[0], WEATHER[1:]) == scene_recall(WEATHER[0], WEATHER[1:]) == 0.8
    assert scene_f1(WEATHER[0], WEATHER[1:]) == pytest.approx(0.8)
    # 5, 3, 2 and 1 of the runs of one to four characters.
    assert scene_bleu(WEATHER[0], WEATHER[1:]) == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    # Five characters of six in two chunks.
    assert scene_meteor(WEATHER[0], WEATHER[1:]) == pytest.approx(5 / 6 * (1 - 0.5 * (2 / 5) ** 3))


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [("今天天气很好", "今天天气不好"), ("a b c d x", "a b c d e"), ("你好", "你好"), ("x", "y z")],
)
def test_pages_and_scenes_score_as_gots_scripts(prediction: str, reference: str) -> None:
    """Against NLTK as they call it, with answer and reference in their right roles."""
    page = pytest.importorskip("jieba").lcut if "天" in reference or "你" in reference else str.split
    for split, own in ((page, (precision, recall, f1, bleu)), (list, (*SCENE, scene_bleu))):
        answer, right = split(prediction), split(reference)
        words, expected = set(answer), set(right)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            official = (
                nltk.precision(expected, words),
                nltk.recall(expected, words),
                nltk.f_measure(expected, words),
                nltk.translate.bleu([right], answer),
            )
        assert [metric(prediction, [reference]) for metric in own] == pytest.approx(official), own
