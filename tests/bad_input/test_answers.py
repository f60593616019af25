"""Answers and references that cannot be scored: each is refused in one sentence, before anything is answered.

An answer of a model is never refused: whatever it is, it has a score.
"""

import importlib.util
import math
from collections.abc import Sequence

import pytest

from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.evaluate import check_scoring
from eaglebench.evaluation.metrics import METRICS
from eaglebench.evaluation.metrics.words import load_jieba
from eaglebench.evaluation.scoring import Scoring
from eaglebench.utils.errors import UserError

VOTES = {"vqa", "vqa_words"}  # a blank answer of one of ten people is a vote
RIGHT = {name: ["yes"] for name in ("mme", "pope", "yes_no")} | {name: ["x"] * 10 for name in VOTES}
LETTER = ["A"]
OPTIONS = ["a cat", "a dog"]


def references_for(name: str) -> list[str]:
    """References that the metric can score."""
    return RIGHT.get(name, LETTER)


@pytest.mark.parametrize(
    ("references", "problem"),
    [
        ([], "needs a reference that is not blank"),
        ([""], "needs a reference that is not blank"),
        ([" "], "needs a reference that is not blank"),
        (["\n\t"], "needs a reference that is not blank"),
        (["\u3000"], "needs a reference that is not blank"),
        (["", " "], "needs a reference that is not blank"),
        ("A", "all of them must be texts"),  # one text in place of a list
        ([1], "all of them must be texts"),
        ([None], "all of them must be texts"),
        (["A", 1.5], "all of them must be texts"),
        ([["A"]], "all of them must be texts"),
        ([b"A"], "all of them must be texts"),
        ([True], "all of them must be texts"),
    ],
)
@pytest.mark.parametrize("name", sorted(METRICS.keys() - VOTES))
def test_references_of_any_metric(name: str, references: Sequence[str], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        METRICS[name]("an answer", references, OPTIONS)


@pytest.mark.parametrize("answer", [None, 1, 1.5, True, ["A"], b"A"])
@pytest.mark.parametrize("name", METRICS)
def test_an_answer_that_is_no_text(name: str, answer: str) -> None:
    with pytest.raises(UserError, match="all of them must be texts"):
        METRICS[name](answer, references_for(name), OPTIONS)


@pytest.mark.parametrize(
    ("name", "references", "problem"),
    [
        ("yes_no", ["perhaps"], "needs yes or no as the reference, and got 'perhaps'"),
        ("mme", ["1"], "needs yes or no as the reference, and got '1'"),
        ("pope", ["true"], "needs yes or no as the reference, and got 'true'"),
        ("seed", ["a cat"], "needs the letter of the right option, and got 'a cat'"),
        ("ai2d", ["2"], "needs the letter of the right option, and got '2'"),
        ("scienceqa", ["(B)"], "needs the letter of the right option, and got '(B)'"),
        ("mmvp", ["AB"], "needs the letter of the right option, and got 'AB'"),
        ("mmbench", ["a cat"], "needs the letter of the right option, and got 'a cat'"),
        ("mmmu", ["\u00c4"], "needs the letter of the right option, and got '\u00c4'"),
        ("vqa", ["cat"], "needs the answers of ten people to a question and got 1"),
        ("vqa_words", ["cat"] * 3, "needs the answers of ten people to a question and got 3"),
    ],
)
def test_references_that_no_answer_could_match(name: str, references: list[str], problem: str) -> None:
    with pytest.raises(UserError) as refusal:
        METRICS[name]("A", references, OPTIONS)
    assert problem in str(refusal.value)


@pytest.mark.parametrize("name", ["mmbench", "mmmu"])
def test_a_question_without_options(name: str) -> None:
    with pytest.raises(UserError, match=f"the metric {name} reads the options of a question"):
        METRICS[name]("A", LETTER)


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "bleu", "meteor"])
def test_chinese_words_without_jieba(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "jieba" else find_spec(name))
    load_jieba.cache_clear()
    with pytest.raises(UserError, match="jieba, which is not installed: uv sync --extra chinese"):
        METRICS[name]("", ["\u4eca\u5929"])
    assert METRICS[name]("\u4eca\u5929", ["today"]) == 0
    assert METRICS["edit"]("\u4eca\u5929", ["\u4eca\u5929"]) == 1


def test_a_blank_reference_beside_others_is_left_out() -> None:
    """Every text contains the empty one, and an empty answer equals it."""
    assert METRICS["contains"]("anything", ["", "dog"]) == 0
    assert METRICS["contains"]("a dog", ["", "dog"]) == 1
    assert METRICS["contains_formula"]("anything", [" ", "x"]) == 0
    assert METRICS["exact"]("", ["", "dog"]) == 0
    assert METRICS["anls"]("", ["", "dog"]) == 0
    assert METRICS["mmmu_open"]("anything", ["", "dog"]) == 0


def test_a_blank_answer_of_a_person_is_a_vote() -> None:
    assert METRICS["vqa"]("", [""] * 4 + ["dog"] * 6) == 1
    assert METRICS["vqa"]("cat", [""] * 4 + ["dog"] * 6) == 0


ODD_ANSWERS = {
    "empty": "",
    "blank": " \n\t\u3000",
    "NUL": "\x00",
    "a lone surrogate": "\ud800",
    "control characters": "\x07\x1b[31m\u202e",
    "a number of 10,000 digits": "1" * 10_000,
    "a number of 10,000 digits and its decimals": "-" + "1" * 10_000 + ".5",
    "an exponent that overflows": "1e99999",
    "not a number": "nan",
    "infinity": "-inf",
    "100,000 words": "yes A " * 50_000,
    "100,000 brackets": "(" * 100_000,
    "100,000 full stops": "." * 100_000,
    "combining signs": "e\u0301" * 100,
    "emoji": "\U0001f469\u200d\U0001f52c",
    "right to left": "\u05d0\u05d1\u05d2",
    "digits of other scripts": "\u0663\uff13\u00b3",
    "a pattern": r".*(?P<x>[A-Z]+\d{1,",
}
SLOW = {"meteor", "scene_meteor", "bleu", "scene_bleu"}  # in the square of the length


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=list(ODD_ANSWERS))
@pytest.mark.parametrize("name", METRICS)
def test_any_answer_has_a_score(name: str, answer: str) -> None:
    answer = answer[:1000] if name in SLOW else answer
    score = METRICS[name](answer, references_for(name), OPTIONS)
    assert isinstance(score, float) and math.isfinite(score) and 0 <= score <= 1


@pytest.mark.parametrize("reference", ODD_ANSWERS.values(), ids=list(ODD_ANSWERS))
@pytest.mark.parametrize(
    "name", sorted(METRICS.keys() - VOTES - RIGHT.keys() - {"ai2d", "mmbench", "mmmu", "mmvp", "scienceqa", "seed"})
)
def test_any_reference_has_a_score_or_one_sentence(name: str, reference: str) -> None:
    reference = reference[:1000] if name in SLOW else reference
    if not reference.strip():
        with pytest.raises(UserError):
            METRICS[name]("x", [reference])
        return
    for answer in ("", "x", reference):
        assert 0 <= METRICS[name](answer, [reference]) <= 1


@pytest.mark.parametrize(
    ("metric", "answers", "problem"),
    [
        ("contains", (" ",), "mine, question 7: the metric contains needs a reference that is not blank"),
        ("pope", ("maybe",), "mine, question 7: the metric pope needs yes or no as the reference, and got 'maybe'"),
        ("mmmu", ("A",), "mine, question 7: the metric mmmu reads the options of a question"),
        ("seed", ("cat",), "mine, question 7: the metric seed needs the letter of the right option, and got 'cat'"),
    ],
)
def test_the_question_is_named_before_anything_is_answered(metric: str, answers: tuple[str, ...], problem: str) -> None:
    samples = [
        Sample("6", None, (Turn("q", "A", "other"),)),
        Sample("7", None, (Turn("q", answers[0], "mine", answers),)),
    ]
    with pytest.raises(UserError) as refusal:
        check_scoring(samples, Scoring({"mine": metric}, "exact"))
    assert problem in str(refusal.value)
