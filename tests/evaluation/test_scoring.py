"""Scores by family, and the arithmetic of a summary."""

from pathlib import Path

import pytest

from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.benchmarks import EAGLE11, compute_eagle_average
from eaglebench.evaluation.metrics import METRICS
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.evaluation.scoring import Scoring, merge_families, summarize
from tests.helpers.questions import make_question


def test_scores_by_family_and_overall() -> None:
    questions = [
        make_question("a", "x"),
        make_question("b", "x"),
        make_question("c", "x"),
        make_question("d", "x"),
        make_question("e", "y"),
    ]
    scoring = Scoring({"y": "relaxed"}, "exact")
    answers = ["1", "1", "1", "0", "1.04"]
    scores = scoring.score_all(questions, answers)
    assert scores == [1, 1, 1, 0, 1]
    blind = {"shuffled": ["1", "0", "0", "0", "0"], "trained": ["0", "0", "0", "0", "1"]}
    rows = {name: scoring.build_rows(questions, given) for name, given in blind.items()}
    result = summarize(questions, scoring.build_rows(questions, answers), rows, scoring)
    x = result["families"]["x"]
    assert (x["score"], x["blind"], x["n"], x["blind_shuffled"], x["blind_trained"]) == (0.75, 0.25, 4, 0.25, 0.0)
    assert x["stderr"] == pytest.approx((0.75 * 0.25 / 4) ** 0.5, rel=0.1)
    assert (x["low"], x["high"]) == (0.25, 1.0)
    assert result["families"]["y"] == {
        "score": 1.0, "low": 1.0, "high": 1.0, "blind": 1.0, "stderr": 0.0, "n": 1,
        "blind_shuffled": 0.0, "blind_trained": 1.0,
    }  # fmt: skip
    overall = result["overall"]
    assert (overall["score"], overall["n"]) == (0.875, 5)
    assert overall["stderr"] == pytest.approx(x["stderr"] / 2, rel=1e-3)
    assert (overall["blind_shuffled"], overall["blind_trained"], overall["blind"]) == (0.125, 0.5, 0.5)


def test_types_of_a_family_and_answers_to_other_questions_are_scored_apart() -> None:
    def ask(family: str, kind: str | None) -> EvalQuestion:
        turn = Turn("q", "1", family, meta={} if kind is None else {"type": kind})
        return EvalQuestion(Sample("s", None, (turn,)), 0)

    questions = [ask("x", "large"), ask("x", "small"), ask("x", "small"), ask("x", None), ask("y", "large")]
    scoring = Scoring({}, "exact")
    rows = scoring.build_rows(questions, ["1", "1", "0", "0", "1"])
    blind = {name: scoring.build_rows(questions, list(answers)) for name, answers in (("a", "00100"), ("b", "11000"))}
    families = summarize(questions, rows, blind, scoring, {0: 1.0, 2: 0.0})["families"]
    assert families["x"]["types"] == {
        "large": {"score": 1.0, "blind": 1.0, "n": 1},
        "small": {"score": 0.5, "blind": 0.5, "n": 2},
    }
    assert families["x"]["other_question"] == 0.5
    assert not {"types", "other_question"} & families["y"].keys()  # one type; no other question was asked


def test_every_reference_counts() -> None:
    turn = Turn("q", "two", "x", references=("two", "2"))
    question = EvalQuestion(Sample("a", None, (turn,)), 0)
    assert [Scoring({}, "exact").score(question, answer) for answer in ("two", "2", "3")] == [1, 1, 0]


def benchmark(name: str, index: int, right: str, category: str = "") -> EvalQuestion:
    turn = Turn("q", right, name, references=(right,) * 10, meta={"category": category})
    return EvalQuestion(Sample(f"{name}{index}", Path(f"{name}{index // 2}.png"), (turn,)), 0)


def test_benchmarks_have_their_own_figures_and_the_average_is_their_mean() -> None:
    """Three of the four answers to each benchmark are right."""
    questions, answers = [], []
    for name in EAGLE11:
        right = "yes" if name in ("pope", "mme") else "A"
        questions += [benchmark(name, index, right, "existence" if name == "mme" else "") for index in range(4)]
        answers += [right] * 3 + ["no" if right == "yes" else "B"]
    scoring = Scoring({}, "exact", frozenset(EAGLE11))
    rows = scoring.build_rows(questions, answers)
    result = summarize(questions, rows, {}, scoring)
    figures = {name: row["figure"] for name, row in result["families"].items()}
    assert figures["gqa"] == 75.0
    assert figures["pope"] == pytest.approx(100 * 6 / 7, abs=0.01)  # precision 1, recall 3/4
    assert figures["mme"] == 75.0 + 50.0  # of its category: three answers of four, one image of two
    assert figures["ocrbench"] == 3.0
    assert result["eagle_average"] == pytest.approx(compute_eagle_average(figures), abs=0.01)
    assert result["overall"]["score"] == pytest.approx(result["eagle_average"] / 1000, abs=1e-4)
    for row in result["families"].values():
        assert row["low"] <= row["score"] <= row["high"]
    assert "eagle_average" not in summarize(questions[4:], rows[4:], {}, scoring)
    merged = merge_families(result["families"])  # as when each is evaluated separately
    assert merged["eagle_average"] == result["eagle_average"]
    assert {key: merged["overall"][key] for key in ("score", "n")} == {
        key: result["overall"][key] for key in ("score", "n")
    }
    for key in ("low", "high", "stderr"):
        assert merged["overall"][key] == pytest.approx(result["overall"][key], abs=0.05)


def test_metrics_that_are_not_the_official_ones_are_named() -> None:
    names = {"pages": "f1", "exactly": "exact", "mmmu": "", "gqa": ""}
    questions = [make_question(name, name) for name in ("pages", "exactly", "gqa", "mmmu")]
    scoring = Scoring({name: metric for name, metric in names.items() if metric}, "exact", frozenset({"gqa", "mmmu"}))
    result = summarize(questions, scoring.build_rows(questions, ["1"] * 4), {}, scoring)
    named = {name: row["metric_differs"] for name, row in result["families"].items() if "metric_differs" in row}
    assert named == {"pages": METRICS["f1"].differs, "mmmu": METRICS["mmmu_open"].differs}
    assert merge_families(result["families"])["families"]["mmmu"]["metric_differs"] == METRICS["mmmu_open"].differs


def test_rotated_options_of_mmbench_are_one_question() -> None:
    """The first question is right in all rotations, the second in two of three."""
    questions = [
        EvalQuestion(Sample(identity, None, (Turn("q", "A", "mmbench", ("A",), {"choices": ["x", "y"]}),)), 0)
        for identity in ("7", "1000007", "8", "1000008", "2000008")
    ]
    scoring = Scoring({}, "exact", frozenset({"mmbench"}))
    result = summarize(questions, scoring.build_rows(questions, ["A", "A", "A", "B", "A"]), {}, scoring)
    row = result["families"]["mmbench"]
    assert (row["figure"], row["score"], row["n"]) == (50.0, 0.5, 5)
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_families_are_resampled_independently() -> None:
    """Four families whose first half is right: their mean has half the error of one."""
    questions = [make_question(f"{family}{index}", family) for family in "wxyz" for index in range(100)]
    answers = ["1" if index < 50 else "0" for _ in "wxyz" for index in range(100)]
    scoring = Scoring({}, "exact")
    result = summarize(questions, scoring.build_rows(questions, answers), {}, scoring)
    assert result["families"]["w"]["stderr"] == pytest.approx(0.05, rel=0.1)
    assert result["overall"]["stderr"] == pytest.approx(0.025, rel=0.1)
