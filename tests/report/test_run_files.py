"""Readers of the files of a run folder."""

import json
from pathlib import Path

from eaglebench.report.run_files import read_curves, read_selection


def test_curves_without_the_final_scores_thinned_to_means(tmp_path: Path) -> None:
    lines = [f"{step},{step % 2},\n" for step in range(400)]
    (tmp_path / "metrics.csv").write_text("step,sft/loss,eval/score\n" + "".join(lines) + "400,,0.5\n")
    curves = read_curves(tmp_path / "metrics.csv")
    assert list(curves) == ["sft/loss"]
    assert curves["sft/loss"][:2] == [(3, 0.5), (7, 0.5)]
    assert len(curves["sft/loss"]) == 100


def test_the_rounds_of_a_selection_without_the_candidates_that_failed(tmp_path: Path) -> None:
    candidates = [{"experts": ["clip"], "score": 0.5}, {"experts": ["sam"], "score": None, "error": "out of memory"}]
    path = tmp_path / "selection.json"
    path.write_text(json.dumps({"rounds": [{"round": 0, "candidates": candidates, "kept": ["clip"]}]}))
    assert [len(each["candidates"]) for each in read_selection(path)] == [1]
    path.write_text('{"rounds": [{}')
    assert read_selection(path) == []
