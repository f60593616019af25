"""Two runs on the same questions."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eaglebench.evaluation.comparison import answers_of, differences
from tests.conftest import Outcome


def run(folder: Path, scores: dict[str, list[float]]) -> Path:
    folder.mkdir()
    rows = [
        {
            "family": family,
            "id": f"{family}{index}",
            "question": "q",
            "image": f"{index}.png",
            "reference": "r",
            "score": score,
        }
        for family, own in scores.items()
        for index, score in enumerate(own)
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    return folder


def test_families_count_once_each(tmp_path: Path) -> None:
    first = run(tmp_path / "a", {"x": [0.0] * 8, "y": [1.0, 1.0]})
    second = run(tmp_path / "b", {"x": [1.0] * 8, "y": [1.0, 0.5]})
    found = differences(answers_of(first), answers_of(second))
    assert list(found) == ["overall", "x", "y"]
    assert found["x"][:2] == (0.0, 1.0)
    assert found["x"][2].p_value == pytest.approx(2 / 2**8)
    assert (found["y"][2].difference, found["y"][2].n) == (-0.25, 2)
    overall = found["overall"]
    assert overall[:2] == pytest.approx((0.5, 0.875))
    assert overall[2].difference == pytest.approx(0.375)


def test_the_size_of_a_family_says_nothing_of_the_overall_interval(tmp_path: Path) -> None:
    """Where every question of a family changes by as much, nothing is left to chance."""
    first = run(tmp_path / "a", {"x": [0.5] * 80, "y": [0.0] * 2})
    second = run(tmp_path / "b", {"x": [0.5] * 80, "y": [1.0] * 2})
    overall = differences(answers_of(first), answers_of(second))["overall"][2]
    assert (overall.low, overall.difference, overall.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_command_shows_it_and_refuses_other_questions(tmp_path: Path, command: Callable[..., Outcome]) -> None:
    first, second = run(tmp_path / "a", {"x": [0.0] * 8}), run(tmp_path / "b", {"x": [1.0] * 8})
    outcome = command("task=compare", f"compare.runs=[{first},{second}]")
    assert outcome.code == 0
    assert "│ x       │ 0.000 │ 1.000 │ +1.000 │ +1.000 to +1.000 │ 0.0078 │         8 │" in outcome.out
    other = run(tmp_path / "c", {"x": [1.0] * 7})
    assert (
        "different questions (1 of the first alone, 0 of the second alone; "
        in command("task=compare", f"compare.runs=[{first},{other}]").err
    )
    assert "wants the folders of two" in command("task=compare", f"compare.runs=[{first}]").err
    assert "not the folder of an evaluated run" in command("task=compare", f"compare.runs=[{first},nothing]").err


def test_the_folder_of_all_benchmarks_is_compared_as_one(tmp_path: Path) -> None:
    """And two turns of a conversation that ask the same are two questions."""
    for name in ("gqa", "pope"):
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        run(tmp_path / "benchmarks" / name, {name: [1.0, 0.0]})
    (tmp_path / "benchmarks/scores.json").write_text(json.dumps({"families": {"gqa": {}, "pope": {}}}))
    run(tmp_path / "benchmarks" / "seed", {"seed": [1.0, 0.0]})  # of earlier weights
    assert [key[0] for key in sorted(answers_of(tmp_path / "benchmarks"))] == ["gqa", "gqa", "pope", "pope"]
    path = run(tmp_path / "again", {"x": [1.0]}) / "predictions.jsonl"
    path.write_text(path.read_text() + json.dumps({**json.loads(path.read_text()), "turn": 1}) + "\n")
    assert len(answers_of(tmp_path / "again")) == 2
