"""Runs side by side."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eaglebench.errors import UserError
from eaglebench.report.compare import Run, markdown_table, setting_of
from tests.conftest import Outcome


def run(experts: str, seed: int, chart: float, text: float, **fields: str) -> Run:
    families = {"chart": {"score": chart, "blind": 0.1}, "text": {"score": text, "blind": 0.0}}
    overall = {"score": (chart + text) / 2, "blind": 0.05}
    setting = {"experts": experts, "llm.depth": "3", **fields}
    return Run(f"{experts}{seed}", seed, setting, {"overall": overall, "families": families})


def test_a_row_for_each_setting_with_the_spread_over_its_seeds() -> None:
    table = markdown_table([run("clip", 0, 0.5, 0.1), run("clip", 1, 0.7, 0.1), run("sam", 0, 0.3, 0.2)])
    assert table.splitlines() == [
        "| experts | overall | chart | text | seeds |",
        "| --- | --- | --- | --- | --- |",
        "| clip | **0.350 ± 0.071** | **0.600 ± 0.141** | 0.100 ± 0.000 | 2 |",
        "| sam | 0.250 | 0.300 | **0.200** | 1 |",
        "| *blind* | 0.050 ± 0.000 | 0.100 ± 0.000 | 0.000 ± 0.000 |  |",
    ]


def test_whatever_differs_is_a_column_and_runs_that_differ_are_never_averaged() -> None:
    two = [run("clip", 0, 0.5, 0.1, lr="1"), run("clip", 0, 0.7, 0.1, lr="2"), run("sam", 0, 0.3, 0.2, lr="2")]
    assert markdown_table(two).splitlines()[0].startswith("| experts | lr | overall |")
    assert len(markdown_table(two).splitlines()) == 2 + 3 + 1


def test_the_same_run_twice_is_refused() -> None:
    with pytest.raises(UserError, match="clip0 and clip0 are the same run twice"):
        markdown_table([run("clip", 0, 0.5, 0.1), run("clip", 0, 0.7, 0.1)])


def test_a_setting_is_the_config_without_the_seed() -> None:
    config = {
        "seed": 1,
        "experts": {"clip": {"width": 64}, "sam": {}},
        "fusion": {"name": "x"},
        "stages": {"sft": {"steps": 8}},
    }
    assert setting_of(config) == {
        "experts": "clip+sam",
        "stages": "sft",
        "experts.clip.width": "64",
        "fusion.name": "x",
        "stages.sft.steps": "8",
    }


def test_the_report_of_finished_runs(command: Callable[..., Outcome], finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.md"
    outcome = command("task=report", f"report.runs={finished_run}", f"report.to={out}")
    assert outcome.code == 0, outcome.err
    overall = json.loads((finished_run / "scores.json").read_text())["overall"]["score"]
    assert f"{overall:.3f}" in out.read_text().splitlines()[2]
    assert "runs: 1;" in outcome.out


def test_a_report_about_nothing_is_refused(command: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = command("task=report", f"report.runs={tmp_path}/none*")
    assert outcome.code == 2
    assert "matches no folder of a finished run" in outcome.err
