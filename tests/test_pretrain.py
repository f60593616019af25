"""task=pretrain: its files, and that a run can start from them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eaglebench.pretrain import POINTS, curve
from tests.conftest import Outcome


@pytest.mark.parametrize("part", ["sam", "llm"])
def test_a_part_is_made_and_used(
    command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "zoo"
    outcome = command("task=pretrain", f"part={part}", f"pretrain.folder={folder}", "debug=fast")
    assert outcome.code == 0, outcome.err
    heads = [f"{part}.head.safetensors"] if part != "llm" else []
    weights = [f"{part}.safetensors", *heads]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted([f"{part}.json", *weights])
    card = json.loads((folder / f"{part}.json").read_text())
    assert card["steps"] == len(card["losses"]) == 3
    assert sorted(card["sha256"]) == sorted(weights)
    assert f"part={part}" in card["command"]
    assert f"{card['score']:.3f}" in outcome.out
    owner = "llm" if part == "llm" else f"experts.{part}"
    used = command(*fast_store, f"{owner}.checkpoint={folder / weights[0]}", f"hydra.run.dir={tmp_path / 'run'}")
    assert used.code == 0, used.err


def test_a_curve_has_few_points_and_the_mean_of_all_losses() -> None:
    losses = [float(step) for step in range(1000)]
    assert len(curve(losses)) == POINTS
    assert curve(losses)[:2] == [4.5, 14.5]
    assert curve([3.0, 2.0]) == [3.0, 2.0]
