"""Our metrics of benchmarks give what lmms-eval 0.7 gives.

The slow tests need lmms-eval: uv run --extra lmms pytest -m slow tests/evaluation/metrics
"""

import importlib.util
import json
from pathlib import Path
from random import Random

import pytest

from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.metrics import AGGREGATES, METRICS
from tests.helpers.answer_pairs import Pair, draw_pairs, list_edges
from tests.helpers.official import OFFICIAL, OFFICIAL_AGGREGATES, score_edges

GOLDEN = json.loads(Path(__file__).with_name("official.json").read_text(encoding="utf-8"))
RANDOM_PAIRS = 1000
needs_lmms_eval = pytest.mark.skipif(importlib.util.find_spec("lmms_eval") is None, reason="lmms-eval is not installed")


def score(metric: str, pair: Pair) -> float:
    return METRICS[metric](*pair)


def test_every_metric_of_a_benchmark_is_compared() -> None:
    used = {one for benchmark in BENCHMARKS.values() for one in (benchmark.metric, *benchmark.metrics.values())}
    used |= {benchmark.open_metric for benchmark in BENCHMARKS.values() if benchmark.open_metric}
    assert used == set(OFFICIAL) == set(GOLDEN["scores"])


@pytest.mark.parametrize("metric", OFFICIAL)
def test_edge_cases_score_as_in_lmms_eval(metric: str) -> None:
    """The scores are those of lmms-eval 0.7.3; the golden file leaves out those of 0."""
    assert GOLDEN["lmms-eval"] == "0.7.3"
    official = GOLDEN["scores"][metric]
    for pair in list_edges(metric):
        expected = official.get(pair.question, {}).get(pair.prediction, 0)
        assert score(metric, pair) == pytest.approx(expected, abs=1e-6), pair


@pytest.mark.parametrize(
    ("metric", "answer", "reference", "official"),
    [
        ("anls", "12", "13", 0.5),  # exactly one half
        ("anls", "1", "13", 0.5),
        ("anls", "acme inc", "acme   inc", 1),  # the distance counts in single spaces, the length as written
        ("relaxed", "5", "0", 0),  # a reference of 0 has no 5 %
        ("relaxed", "0.0", "0", 0),
        ("relaxed", "52%", "0.5", 1),  # a percentage is a number of hundredths
        ("relaxed", "nan", "nan", 0),
        ("exact_words", "yes - it is", "yes it is", 0),  # the signs go, their spaces stay
        ("seed", "Because", "B", 1),  # the first character alone
        ("seed", "(B)", "B", 0),
        ("ai2d", "(B)", "B", 1),
        ("ai2d", "B) red", "B", 0),
        ("scienceqa", "(B)", "B", 0),
        ("scienceqa", "B. red", "B", 1),
        ("pope", "yes.", "yes", 0),  # the bare word alone
        ("pope", "Yes", "yes", 1),
        ("mme", "I know", "no", 0),
        ("mme", "know", "no", 1),  # in the first four characters
        ("mme", "The answer is yes", "yes", 0),
        ("contains", "\uff28\uff45\uff4c\uff4c\uff4f", "hello", 1),  # full-width letters
        ("mmmu_open", "42.0", "42", 1),
        ("mmmu_open", "$42", "42", 1),
        ("mmmu_open", "1,000", "1000", 1),
        ("mmmu_open", "it is a mouse", "mouse", 1),
        ("realworldqa", "the answer is (B)", "B", 1),
        ("realworldqa", "Two.", "two", 1),
        ("realworldqa", "2", "two", 0),
        ("mmvp", "The answer is b", "B", 1),
        ("mmvp", "cab", "B", 1),  # a letter at the end of a word
        ("mathvista", "14.9", "14", 1),  # cut to an integer
        ("mathvista", "1.24", "1.2", 1),
        ("mathvista", "it is 14", "14", 0),
    ],
)
def test_known_surprises(metric: str, answer: str, reference: str, official: float) -> None:
    assert METRICS[metric](answer, [reference]) == official


@pytest.mark.parametrize(
    ("metric", "answer", "official"),
    [
        ("mmbench", "B", 1),
        ("mmbench", "a red car", 1),
        ("mmbench", "A red car", 0),  # A is a word of its own, in an answer of no more than three
        ("mmbench", "It is A red car", 1),
        ("mmbench", "a b", 0),
        ("mmmu", "(A) or (B)", 1),  # the last one
        ("mmmu", "a red car", 0),  # texts count in answers of more than five words
        ("mmmu", "I think that it must be a red car", 1),
        ("mmmu", "I am not sure", 0),  # the official script guesses
    ],
)
def test_options_of_a_question(metric: str, answer: str, official: float) -> None:
    assert METRICS[metric](answer, ["B", "a red car"], ["a blue car", "a red car"]) == official


def test_the_docs_name_every_metric() -> None:
    text = (Path(__file__).parents[3] / "docs" / "own-data-and-evaluation.md").read_text(encoding="utf-8")
    assert [name for name in METRICS if f"`{name}`" not in text] == []
    # Each of a benchmark that differs has a note in the last column.
    table = text.partition("| metric | benchmark |")[2].partition("\n\n")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `") and line.count("|") == 5]
    noted = {name.strip(" `") for cells in rows if cells[4].strip() for name in cells[1].split(",")}
    assert noted == {name for name in OFFICIAL if METRICS[name].differs} | {"mmvp"}  # whose difference is in the data


@pytest.mark.slow
@needs_lmms_eval
@pytest.mark.parametrize("metric", OFFICIAL)
def test_random_answers_score_as_in_lmms_eval(metric: str) -> None:
    for pair in draw_pairs(metric, RANDOM_PAIRS):
        assert score(metric, pair) == pytest.approx(OFFICIAL[metric](*pair), abs=1e-9), pair


@pytest.mark.slow
@needs_lmms_eval
@pytest.mark.parametrize("name", OFFICIAL_AGGREGATES)
def test_random_scores_aggregate_as_in_lmms_eval(name: str) -> None:
    """Of pairs of questions, and of three rotations of each question of MMBench."""
    rng = Random(0)
    for _ in range(100):
        answers = rng.choices(["yes", "no", "Yes.", "maybe"], k=24)
        truths = rng.choices(["yes", "no"], k=24)
        rows = [
            {
                "prediction": answer,
                "references": [truth],
                "score": float(answer == truth),
                "meta": {"category": f"{place // 2}", "image": f"{place // 2}", "rotations_of": f"{place // 3}"},
            }
            for place, (answer, truth) in enumerate(zip(answers, truths, strict=True))
        ]
        if name == "mme":
            rows = [{**row, "meta": {**row["meta"], "category": "count" if place < 12 else "OCR"}}
                    for place, row in enumerate(rows)]  # fmt: skip
        assert AGGREGATES[name](rows) == pytest.approx(OFFICIAL_AGGREGATES[name](rows), abs=1e-9)


@pytest.mark.slow
@needs_lmms_eval
def test_the_golden_scores_are_those_of_the_installed_lmms_eval() -> None:
    assert score_edges() == GOLDEN["scores"]
