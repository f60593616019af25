"""Two runs on the same questions."""

import json
from pathlib import Path

import pytest

from eaglebench.evaluation.comparison import compare_answers, read_answers
from tests.helpers.run_folders import write_predictions


def test_families_count_once_each(tmp_path: Path) -> None:
    first = write_predictions(tmp_path / "a", {"x": [0.0] * 8, "y": [1.0, 1.0]})
    second = write_predictions(tmp_path / "b", {"x": [1.0] * 8, "y": [1.0, 0.5]})
    found = compare_answers(read_answers(first), read_answers(second))
    assert list(found) == ["overall", "x", "y"]
    assert found["x"][:2] == (0.0, 1.0)
    assert found["x"][2].p_value == pytest.approx(2 / 2**8)
    assert (found["y"][2].difference, found["y"][2].n) == (-0.25, 2)
    overall = found["overall"]
    assert overall[:2] == pytest.approx((0.5, 0.875))
    assert overall[2].difference == pytest.approx(0.375)


def test_the_size_of_a_family_says_nothing_of_the_overall_interval(tmp_path: Path) -> None:
    """Where every question of a family changes by as much, nothing is left to chance."""
    first = write_predictions(tmp_path / "a", {"x": [0.5] * 80, "y": [0.0] * 2})
    second = write_predictions(tmp_path / "b", {"x": [0.5] * 80, "y": [1.0] * 2})
    overall = compare_answers(read_answers(first), read_answers(second))["overall"][2]
    assert (overall.low, overall.difference, overall.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_folder_of_all_benchmarks_is_compared_as_one(tmp_path: Path) -> None:
    """And two turns of a conversation that ask the same are two questions."""
    for name in ("gqa", "pope"):
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        write_predictions(tmp_path / "benchmarks" / name, {name: [1.0, 0.0]})
    (tmp_path / "benchmarks/scores.json").write_text(json.dumps({"families": {"gqa": {}, "pope": {}}}))
    write_predictions(tmp_path / "benchmarks" / "seed", {"seed": [1.0, 0.0]})  # of earlier weights
    assert [key[0] for key in sorted(read_answers(tmp_path / "benchmarks"))] == ["gqa", "gqa", "pope", "pope"]
    path = write_predictions(tmp_path / "again", {"x": [1.0]}) / "predictions.jsonl"
    path.write_text(path.read_text() + json.dumps({**json.loads(path.read_text()), "turn": 1}) + "\n")
    assert len(read_answers(tmp_path / "again")) == 2
