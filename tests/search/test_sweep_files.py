"""The shipped sweep files: W&B accepts them, and every point of them is a valid run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.mark import ParameterSet

import sweeps
from eaglebench.config.compose import compose_command
from eaglebench.search.sweep_points import list_points, point_overrides
from tests.conftest import Outcome

FILES = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))
RUNS = {
    "fig4_selection": 11,
    "learning_rate": 3,
    "table2_clip_resolution": 6,
    "table3_single_experts": 10,
    "table4_fusion": 10,
    "table5_pre_alignment": 16,
    "table7_training_recipes": 8,
}
ANY_SIZE = {
    "fig4_selection",
    "table3_single_experts",
    "table4_fusion",
    "table5_pre_alignment",
}  # without another override


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def small_or_slow(path: Path) -> ParameterSet:
    """A file as a parameter; composing many commands is for the slow suite."""
    return pytest.param(path, id=path.stem, marks=[] if RUNS[path.stem] <= 6 else pytest.mark.slow)


def points_of(sweep: dict[str, Any]) -> list[dict[str, Any]]:
    """Its points; of one that W&B chooses by scores, a few random ones."""
    return list_points({**sweep, "method": "random", "run_cap": 3} if sweep["method"] == "bayes" else sweep)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_wandb_takes_the_file(path: Path) -> None:
    sweep = read(path)
    assert sweeps.schema_violations_from_proposed_config(sweep) == []
    assert sweeps.schema_violations_from_proposed_config({**sweep, "method": "gridd"}) != []
    assert sweep["name"] == path.stem
    assert sweep["metric"] == {"name": "eval/score", "goal": "maximize"}
    assert f"# {sweep.get('run_cap', RUNS[path.stem])} runs" in path.read_text()
    assert sweep["command"] == ["${env}", "python", "-m", "eaglebench", "logger=[csv,wandb]", "${args_no_hyphens}"]


@pytest.mark.parametrize("path", [small_or_slow(path) for path in FILES])
def test_every_point_is_a_run_of_its_own(path: Path) -> None:
    found = points_of(read(path))
    assert len(found) == RUNS[path.stem]
    names = set()
    for point in found:
        names.add(compose_command([*point_overrides(point), "logger=[csv,wandb]"]).config.run_name)
    assert len(names) == len(found)


@pytest.mark.parametrize("name", sorted(ANY_SIZE))
def test_points_are_runs_at_full_size_with_the_same_overrides(name: str) -> None:
    """Those of the file's header, which W&B's agent gives to every run."""
    (path,) = [path for path in FILES if path.stem == name]
    assert '"pretrained.NAME=FILE"' in path.read_text()
    weights = [f"pretrained.{expert}=none" for expert in ("clip", "convnext", "pix2struct", "eva02", "sam", "dinov2")]
    points = points_of(read(path))
    for point in (points[0], points[-1]):  # a second each
        overrides = [*point_overrides(point), "size=full", "data.train=x.json", *weights]
        assert compose_command(overrides).config.stages["sft"].lr["experts"] in (0, 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_command_runs(
    path: Path, command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As W&B's agent gives it, W&B itself left out."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    sweep = read(path)
    before = sweep["command"][4:-1]  # between the program and the macro
    for number, point in enumerate(points_of(sweep)):
        folder = tmp_path / str(number)
        outcome = command(*before, *point_overrides(point), *fast_store, f"hydra.run.dir={folder}")
        assert outcome.code == 0, (point_overrides(point), outcome.err)
        assert (folder / "scores.json").is_file()
