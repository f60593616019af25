"""task=pretrain: its files, and that a run can start from them."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from eaglebench.tasks.pretrain_run import POINTS, average_curve
from tests.conftest import Outcome


@pytest.mark.parametrize("part", [pytest.param("eva02", marks=pytest.mark.slow), "llm"])
def test_a_part_is_made_and_used(
    command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "zoo"
    outcome = command("task=pretrain", f"pretrain={part}", f"pretrain.folder={folder}", "fast=true")
    assert outcome.code == 0, outcome.err
    weights = [f"{part}.safetensors", f"{part}.head.safetensors"]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted([f"{part}.json", *weights])
    card = json.loads((folder / f"{part}.json").read_text())
    assert card["settings"]["steps"] == len(card["losses"]) == 3
    assert sorted(card["sha256"]) == sorted(weights)
    assert f"pretrain={part}" in card["command"]
    assert f"{card['score']:.3f}" in outcome.out
    (hint,) = [line for line in outcome.out.splitlines() if line.startswith("try it: python -m eaglebench ")]
    used = command(*shlex.split(hint)[5:], *fast_store, f"hydra.run.dir={tmp_path / 'run'}")
    assert used.code == 0, used.err


def test_a_curve_has_few_points_and_the_mean_of_all_losses() -> None:
    losses = [float(step) for step in range(1000)]
    assert len(average_curve(losses)) == POINTS
    assert average_curve(losses)[:2] == [4.5, 14.5]
    assert average_curve([3.0, 2.0]) == [3.0, 2.0]
