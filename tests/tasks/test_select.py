"""task=select, from the command line to its files."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from eaglebench.profiling.estimate import vision_cost
from eaglebench.profiling.estimate.vision_cost import VisionCost
from eaglebench.search.trials import Trial, TrialResult
from eaglebench.tasks import select as task
from tests.conftest import Outcome
from tests.helpers.cluster import wait_until

SCORES = {"clip": 0.3, "clip+sam": 0.4, "clip+convnext": 0.5, "clip+convnext+sam": 0.45}


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """The overrides of the trials that are run; each set has a score of its own, and eva02 fails."""
    ran: list[tuple[str, ...]] = []

    def run(
        given: Sequence[Trial], command: Any, launcher: Any, console: Any, common: Sequence[str] = ()
    ) -> list[TrialResult]:
        results = []
        for trial in given:
            ran.append((*common, *trial.overrides))
            name, _, seed = trial.label.partition(" seed ")
            score = SCORES.get(name)
            row = None if score is None else {"score": score + 0.01 * int(seed or 0)}
            scores = None if row is None else {"overall": row, "families": {"chart": row}}
            results.append(TrialResult(trial, Path("results") / name, scores, error=None if row else "exit code 1"))
        return results

    monkeypatch.setattr(task, "run_trials", run)
    monkeypatch.chdir(tmp_path)
    return ran


def test_a_selection_leaves_a_table_a_curve_and_a_json(
    trials: list[tuple[str, ...]], command: Callable[..., Outcome]
) -> None:
    outcome = command(
        "task=select", "select.start=[clip]", "select.pool=[sam,convnext,eva02]", "select.seeds=2", "fusion.grid=4",
        "logger=[csv,wandb]",
    )  # fmt: skip
    assert outcome.code == 2
    assert outcome.err == "error: 2 of 6 sets failed; the same command runs these again, and no others.\n"
    (folder,) = Path("results").glob("selection-round_robin-*")
    assert trials[0] == (
        "fusion.grid=4", "logger=[csv,wandb]", f"logger.wandb.group={folder.name}", "experts=[clip]", "seed=0",
    )  # fmt: skip
    assert len(trials) == 2 * (1 + 3 + 2)
    found = json.loads((folder / "selection.json").read_text())
    assert (found["kept"], found["score"]) == (["clip", "convnext"], "overall")
    assert found["stopped"] == "nothing gains more than 0: the best, sam, -0.0500"
    rows = {"+".join(row["experts"]): row for row in found["rounds"][1]["candidates"]}
    assert (rows["clip+convnext"]["score"], rows["clip+convnext"]["scores"]) == (0.505, [0.5, 0.51])
    assert rows["clip+convnext"]["low"] == 0.5
    assert (rows["clip+eva02"]["score"], rows["clip+eva02"]["error"]) == (None, "exit code 1")
    sam, convnext = (rows[f"clip+{name}"] for name in ("sam", "convnext"))
    assert 0 < sam["macs"] < convnext["macs"]
    assert sam["images_per_second"] > 0
    table = (folder / "selection.md").read_text()
    assert re.search(
        r"\| 1 \| \*\*clip\+convnext\*\* \| [\d.]+ \| [\d.]+ \| [\d,.]+ \| 0.5050 ± 0.0050 \| \+0.2000 \|", table
    )
    assert re.search(r"\| 1 \| clip\+eva02 \| .* \| failed \| exit code 1 \|", table)
    assert table.endswith("Kept: **clip+convnext**; nothing gains more than 0: the best, sam, -0.0500.\n")
    assert (folder / "selection.svg").read_text().count("+ convnext") == 1


def test_overrides_of_an_expert_go_to_the_sets_that_have_it(
    trials: list[tuple[str, ...]], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_cost, "measure_vision_cost", lambda *_: VisionCost(1000, 2e9, 3.0))
    overrides = ["experts.sam.frozen=true", "experts.clip.lr=1e-3"]
    assert command("task=select", "select=exhaustive", "select.start=[clip]", "select.pool=[sam]", *overrides).code == 0
    assert trials == [
        ("experts=[clip]", "experts.clip.lr=1e-3", "seed=0"),
        ("experts=[clip,sam]", "experts.clip.lr=1e-3", "experts.sam.frozen=true", "seed=0"),
    ]


def test_costs_are_measured_once_and_one_that_cannot_be_ends_nothing(
    trials: list[tuple[str, ...]], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(vision_cost, "measure_vision_cost", none)
    overrides = ["task=select", "select=exhaustive", "select.start=[clip]", "select.pool=[]"]
    outcome = command(*overrides)
    assert outcome.code == 0, outcome.err
    assert "clip: its cost cannot be measured (no room)" in outcome.out
    monkeypatch.setattr(vision_cost, "measure_vision_cost", lambda *_: VisionCost(1000, 2e9, 3.0))
    assert "no room" not in command(*overrides).out
    monkeypatch.setattr(vision_cost, "measure_vision_cost", none)
    again = command(*overrides)
    assert again.code == 0 and "no room" not in again.out
    (folder,) = Path("results").glob("selection-exhaustive-*")
    (row,) = json.loads((folder / "selection.json").read_text())["rounds"][0]["candidates"]
    assert (row["parameters"], row["images_per_second"]) == (1000, 3.0)


@pytest.mark.parametrize("damage", ["{half", "[]", '{"clip": 3}', '{"clip": {"parameters": "many"}}', '{"clip": null}'])
def test_damaged_costs_are_measured_again(
    damage: str, trials: list[tuple[str, ...]], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_cost, "measure_vision_cost", lambda *_: VisionCost(1000, 2e9, 3.0))
    overrides = ["task=select", "select=exhaustive", "select.start=[clip]", "select.pool=[]"]
    command(*overrides)
    (costs,) = Path("results").glob("selection-exhaustive-*/costs.json")
    whole = costs.read_text()
    costs.write_text(damage)
    assert command(*overrides).code == 0
    assert costs.read_text() == whole


def test_speed_is_left_out_where_its_device_is_not(
    trials: list[tuple[str, ...]], command: Callable[..., Outcome]
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    overrides = ["select=exhaustive", "select.start=[clip]", "select.pool=[]", "trainer=gpu"]
    assert command("task=select", *overrides).code == 0
    (folder,) = Path("results").glob("selection-exhaustive-*")
    (row,) = json.loads((folder / "selection.json").read_text())["rounds"][0]["candidates"]
    assert (row["images_per_second"], row["macs"] > 0) == (None, True)


def test_parameters_are_those_of_the_vision_side(
    trials: list[tuple[str, ...]], command: Callable[..., Outcome]
) -> None:
    assert command("task=select", "select=exhaustive", "select.start=[clip]", "select.pool=[sam]").code == 0
    (folder,) = Path("results").glob("selection-exhaustive-*")
    rows = json.loads((folder / "selection.json").read_text())["rounds"][0]["candidates"]
    assert [row["parameters"] for row in rows][1] == 116_608 + 195_904 + 331_392


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["select.pool=[eagle]"], "select names the expert eagle, which is unknown: choose from clip"),
        (["select.start=[clip,sam]"], "select names the expert sam twice"),
        (["select=backward", "select.pool=[]"], "select.pool is empty: name experts"),
        (["select.seeds=0"], "select.seeds=0 must be a whole number above 0"),
        (["select.seeds=abc"], "select.seeds=abc must be a whole number above 0"),
        (["select.min_gain=abc"], "select.min_gain=abc must be a number"),
        (["select.start=clip"], "select.start=clip must be a list of"),
        (["select.start=[]"], "select.start is empty"),
        (["seed=7"], "seed=7 is each trial's own here: give select.seeds=N"),
        (["experts=[clip]"], "experts=[clip] is each trial's own here: give select.start and select.pool"),
        (["run_name=mine"], "run_name is each run's own: leave it out"),
        (["select.beyond_spread=true"], "select.beyond_spread=true needs a spread: give select.seeds=3"),
        (
            ["select.start=[clip]", "select.score=taste"],
            "select.score=taste is no score of results/clip: choose from overall, chart",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(
    overrides: list[str], message: str, trials: list[tuple[str, ...]], command: Callable[..., Outcome]
) -> None:
    outcome = command("task=select", *overrides)
    assert outcome.code == 2
    assert message in outcome.err


@pytest.mark.slow
def test_killed_and_started_again_it_repeats_nothing(tmp_path: Path) -> None:
    overrides = ["task=select", "fast=true", "select.start=[clip]", "select.pool=[sam]", "evaluation.blind.steps=0"]
    program = [sys.executable, "-m", "eaglebench", *overrides]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(program, cwd=tmp_path, stdout=log, stderr=log)
    wait_until(lambda: "round 1" in (tmp_path / "log").read_text(), "the first round", 200)
    running.send_signal(signal.SIGKILL)
    running.wait()
    again = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert re.search(r"^1/1 clip: [\d.]+ \(finished before\)", again.stdout, re.MULTILINE)
    (folder,) = (tmp_path / "results").glob("selection-*")
    rows = json.loads((folder / "selection.json").read_text())["rounds"][1]["candidates"]
    assert 0 <= rows[0]["score"] <= 1
