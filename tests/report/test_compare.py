"""Runs side by side."""

import json
from collections.abc import Callable
from pathlib import Path

from eaglebench.report.compare import Run, markdown_table, setting_of
from tests.conftest import Outcome


def run(experts: str, seed: int, chart: float, text: float) -> Run:
    families = {"chart": {"score": chart, "blind": 0.1}, "text": {"score": text, "blind": 0.0}}
    overall = {"score": (chart + text) / 2, "blind": 0.05}
    return Run({"experts": experts, "fusion": "channel_concat"}, seed, {"overall": overall, "families": families})


def test_a_row_for_each_setting_with_the_spread_over_its_seeds() -> None:
    table = markdown_table([run("clip", 0, 0.5, 0.1), run("clip", 1, 0.7, 0.1), run("sam", 0, 0.3, 0.2)])
    assert table.splitlines() == [
        "| experts | overall | chart | text | seeds |",
        "| --- | --- | --- | --- | --- |",
        "| clip | **0.350 ± 0.071** | **0.600 ± 0.141** | 0.100 ± 0.000 | 2 |",
        "| sam | 0.250 | 0.300 | **0.200** | 1 |",
        "| *blind* | 0.050 ± 0.000 | 0.100 ± 0.000 | 0.000 ± 0.000 |  |",
    ]


def test_a_setting_names_experts_fusion_and_stages() -> None:
    stages = {"projector": {"steps": 80, "epochs": None}, "sft": {"steps": None, "epochs": 1}}
    config = {"experts": {"clip": {}, "sam": {}}, "fusion": {"name": "sequence_append"}, "stages": stages}
    assert setting_of(config) == {
        "experts": "clip+sam",
        "fusion": "sequence_append",
        "stages": "projector 80, sft 1",
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
