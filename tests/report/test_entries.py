"""Run folders in every state."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from eaglebench.config.identity import run_identity
from eaglebench.evaluation.benchmarks import EAGLE11, compute_eagle_average
from eaglebench.report.entries import RunEntry, is_run, read_entry
from tests.helpers.run_folders import write_run


def read(folder: Path) -> RunEntry:
    return read_entry(folder, run_identity, limit=10)


def test_a_finished_run_with_what_it_cost(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", seed=3)
    save_file({"x": np.zeros((2, 5)), "y": np.zeros(3)}, folder / "model.safetensors")
    entry = read(folder)
    assert entry.finished and entry.run is not None
    assert (entry.run.seed, entry.run.setting["experts"], entry.parameters) == (3, "clip+sam", 13)
    assert entry.seconds == 53.0  # without the blind model's


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("scores.json", None, "no scores.json"),
        ("scores.json", '{"overall": {"sc', "scores.json cannot be read (Unterminated string"),
        ("scores.json", "[]", "scores.json cannot be read (it is not an object)"),
        ("scores.json", '{"overall": {}, "families": {}}', "scores.json cannot be read (it has no families)"),
        ("scores.json", '{"overall": {"score": NaN}, "families": {"x": {"score": 1}}}', "overall has no score"),
        ("scores.json", '{"overall": {"score": 1, "low": "a"}, "families": {"x": {"score": 1}}}', "overall.low is not"),
        ("scores.json", "[" * 100_000, "scores.json cannot be read"),
        ("scores.json", b"\xff\xfe", "scores.json cannot be read ('utf-8' codec"),
        ("manifest.json", None, "no manifest.json: the training has not ended"),
        ("manifest.json", "", "manifest.json cannot be read"),
        ("config.yaml", None, "no config.yaml"),
        ("config.yaml", "a: [", "config.yaml cannot be read (while parsing"),
        ("config.yaml", "- 1", "config.yaml cannot be read"),
        ("config.yaml", "config_version: 2\nseed: zero", "config.yaml has no seed"),
        (
            "config.yaml",
            "seed: 0\nexperts: [clip]\n",
            "another version of eaglebench (config version 1; this one reads 2)",
        ),
        ("config.yaml", "config_version: 2\nseed: 0\nexperts: [clip]\n", "config.yaml is incomplete ('data')"),
    ],
)
def test_what_is_wrong_with_a_folder_is_among_its_problems(
    tmp_path: Path, name: str, content: str | bytes | None, problem: str
) -> None:
    folder = write_run(tmp_path / "a")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    entry = read(folder)
    assert not entry.finished
    assert problem in "; ".join(entry.problems)


def test_benchmarks_that_were_asked_later_are_families_too(tmp_path: Path) -> None:
    """All there is, of a training without held-out data."""
    folder = write_run(tmp_path / "a")
    (folder / "benchmarks").mkdir()
    row = {"score": 0.6, "figure": 60.0}
    (folder / "benchmarks/scores.json").write_text(json.dumps({"overall": row, "families": {"gqa": row}}))
    entry = read(folder)
    assert entry.finished and entry.run is not None
    own = json.loads((folder / "scores.json").read_text())
    assert entry.run.scores == {"overall": own["overall"], "families": {**own["families"], "gqa": row}}
    (folder / "scores.json").unlink()
    entry = read(folder)
    assert entry.finished and entry.run is not None
    assert entry.run.scores["families"] == {"gqa": row}
    (folder / "benchmarks/scores.json").write_text("{")
    assert "benchmarks/scores.json cannot be read" in "; ".join(read(folder).problems)


def test_the_average_is_that_of_all_that_was_asked(tmp_path: Path) -> None:
    """Ten of Eagle's eleven in the training, and the last one later."""
    folder = write_run(tmp_path / "a")
    rows = {name: {"score": 0.5, "figure": 50.0} for name in EAGLE11}
    last = rows.pop("pope")
    (folder / "scores.json").write_text(json.dumps({"overall": last, "families": rows}))
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks/scores.json").write_text(json.dumps({"overall": last, "families": {"pope": last}}))
    entry = read(folder)
    assert entry.run is not None
    assert entry.run.scores["eagle_average"] == round(compute_eagle_average(dict.fromkeys(EAGLE11, 50.0)), 2)


def test_a_folder_of_something_else_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "report.md").touch()
    assert not is_run(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert is_run(tmp_path)
