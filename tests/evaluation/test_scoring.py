"""Shuffling images, and the arithmetic of a summary."""

from pathlib import Path

import pytest

from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.benchmarks import EAGLE11, eagle_average
from eaglebench.evaluation.generation import Question, questions
from eaglebench.evaluation.scoring import Scoring, rows_of, shuffled, summary, together


def ask(identity: str, family: str, answer: str = "1", image: bool = True) -> Question:
    return Question(Sample(identity, Path(f"{identity}.png") if image else None, (Turn("q", answer, family),)), 0)


def test_every_turn_is_a_question() -> None:
    sample = Sample("s", None, (Turn("a", "1", "x"), Turn("b", "2")))
    asked = questions([sample])
    assert [(question.turn, question.family, question.reference) for question in asked] == [
        (0, "x", "1"),
        (1, "all", "2"),
    ]


def test_nobody_keeps_their_image_and_families_do_not_mix() -> None:
    asked = [ask(f"{family}{index}", family) for family in "xy" for index in range(7)]
    swapped = shuffled(asked, seed=0)
    for before, after in zip(asked, swapped, strict=True):
        assert after.sample.image != before.sample.image
        assert after.sample.image.name[0] == before.family
        assert (after.sample.id, after.sample.turns) == (before.sample.id, before.sample.turns)
    assert sorted(q.sample.image for q in swapped) == sorted(q.sample.image for q in asked)
    assert shuffled(asked, seed=0) == swapped != shuffled(asked, seed=1)


def test_questions_that_share_an_image_do_not_swap_it_among_themselves() -> None:
    def about(image: str, count: int) -> list[Question]:
        sample = Sample(image, Path(image), tuple(Turn(f"q{turn}", "1", "x") for turn in range(count)))
        return questions([sample])

    asked = about("a.png", 3) + about("b.png", 1)
    assert [question.sample.image.name for question in shuffled(asked, seed=0)] == ["b.png"] * 3 + ["a.png"]


def test_text_only_questions_stay_as_they_are() -> None:
    asked = [ask("a", "x", image=False), ask("b", "x"), ask("c", "x")]
    swapped = shuffled(asked, seed=0)
    assert swapped[0] == asked[0]
    assert [question.sample.image for question in swapped[1:]] == [Path("c.png"), Path("b.png")]


def test_scores_by_family_and_overall() -> None:
    asked = [ask("a", "x"), ask("b", "x"), ask("c", "x"), ask("d", "x"), ask("e", "y")]
    scoring = Scoring({"y": "relaxed"}, "exact")
    answers = ["1", "1", "1", "0", "1.04"]
    scores = scoring.scores(asked, answers)
    assert scores == [1, 1, 1, 0, 1]
    blind = {"shuffled": ["1", "0", "0", "0", "0"], "trained": ["0", "0", "0", "0", "1"]}
    rows = {name: rows_of(asked, given, scoring.scores(asked, given)) for name, given in blind.items()}
    result = summary(asked, rows_of(asked, answers, scores), rows, scoring)
    x = result["families"]["x"]
    assert (x["score"], x["blind"], x["n"], x["blind_shuffled"], x["blind_trained"]) == (0.75, 0.25, 4, 0.25, 0.0)
    assert x["stderr"] == pytest.approx((0.75 * 0.25 / 4) ** 0.5, rel=0.1)
    assert (x["low"], x["high"]) == (0.25, 1.0)
    assert result["families"]["y"] == {
        "score": 1.0, "low": 1.0, "high": 1.0, "blind": 1.0, "stderr": 0.0, "n": 1, "blind_shuffled": 0.0, "blind_trained": 1.0,
    }  # fmt: skip
    overall = result["overall"]
    assert (overall["score"], overall["n"]) == (0.875, 5)
    assert overall["stderr"] == pytest.approx(x["stderr"] / 2, rel=1e-3)
    assert (overall["blind_shuffled"], overall["blind_trained"], overall["blind"]) == (0.125, 0.5, 0.5)


def test_every_reference_counts() -> None:
    turn = Turn("q", "two", "x", references=("two", "2"))
    question = Question(Sample("a", None, (turn,)), 0)
    assert [Scoring({}, "exact").score(question, answer) for answer in ("two", "2", "3")] == [1, 1, 0]


def benchmark(name: str, index: int, right: str, category: str = "") -> Question:
    turn = Turn("q", right, name, references=(right,) * 10, meta={"category": category})
    return Question(Sample(f"{name}{index}", Path(f"{name}{index // 2}.png"), (turn,)), 0)


def test_benchmarks_have_their_own_figures_and_the_average_is_their_mean() -> None:
    """A world in which every answer is right but one of each benchmark's four."""
    asked, answers = [], []
    for name in EAGLE11:
        right = "yes" if name in ("pope", "mme") else "A"
        asked += [benchmark(name, index, right, "existence" if name == "mme" else "") for index in range(4)]
        answers += [right] * 3 + ["no" if right == "yes" else "B"]
    scoring = Scoring({}, "exact", frozenset(EAGLE11))
    rows = rows_of(asked, answers, scoring.scores(asked, answers))
    result = summary(asked, rows, {}, scoring)
    figures = {name: row["figure"] for name, row in result["families"].items()}
    assert figures["gqa"] == 75.0
    assert figures["pope"] == pytest.approx(100 * 6 / 7, abs=0.01)  # precision 1, recall 3/4
    assert figures["mme"] == 75.0 + 50.0  # of its category: three answers of four, one image of two
    assert figures["ocrbench"] == 3.0
    assert result["eagle_average"] == pytest.approx(eagle_average(figures), abs=0.01)
    assert result["overall"]["score"] == pytest.approx(result["eagle_average"] / 1000, abs=1e-4)
    for row in result["families"].values():
        assert row["low"] <= row["score"] <= row["high"]
    assert "eagle_average" not in summary(asked[4:], rows[4:], {}, scoring)
    apart = together(result["families"])  # as when each is evaluated by itself
    assert apart["eagle_average"] == result["eagle_average"]
    assert {key: apart["overall"][key] for key in ("score", "n")} == {
        key: result["overall"][key] for key in ("score", "n")
    }
    for key in ("low", "high", "stderr"):
        assert apart["overall"][key] == pytest.approx(result["overall"][key], abs=0.05)


def test_families_are_drawn_apart() -> None:
    """Four families whose first half is right: their mean has half the error of one."""
    asked = [ask(f"{family}{index}", family) for family in "wxyz" for index in range(100)]
    answers = ["1" if index < 50 else "0" for _ in "wxyz" for index in range(100)]
    scoring = Scoring({}, "exact")
    result = summary(asked, rows_of(asked, answers, scoring.scores(asked, answers)), {}, scoring)
    assert result["families"]["w"]["stderr"] == pytest.approx(0.05, rel=0.1)
    assert result["overall"]["stderr"] == pytest.approx(0.025, rel=0.1)
