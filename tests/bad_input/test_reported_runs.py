"""Run folders that a report or a comparison meets, damaged, odd, or of somebody else: what the user reads of each."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from eaglebench.__main__ import main
from tests.conftest import Outcome
from tests.helpers.run_folders import write_run

DEEP = "[" * 100_000
LINE = {"id": "q", "family": "text", "question": "?", "reference": "a", "prediction": "a", "score": 1.0, "image": None}


def line(**fields: object) -> str:
    return json.dumps({**LINE, **fields}) + "\n"


ONE = {"families": {"x": {"score": 1}}}
COUNTED = "has 1 answers, and scores.json counts 20"

# A file of a finished run, its contents, and what the report says of the run.
DAMAGED = {
    "half a score": ("scores.json", '{"overall": {"score": 0.', "scores.json cannot be read"),
    "a score of 57": ("scores.json", json.dumps({**ONE, "overall": {"score": 57}}), "is not between 0 and 1"),
    "a score below 0": ("scores.json", json.dumps({**ONE, "overall": {"score": -1}}), "is not between 0 and 1"),
    "a count of text": ("scores.json", json.dumps({**ONE, "overall": {"score": 1, "n": "9"}}), "n is not a number"),
    "deep scores": ("scores.json", DEEP, "scores.json cannot be read"),
    "deep manifest": ("manifest.json", DEEP, "manifest.json cannot be read"),
    "manifest of a list": ("manifest.json", "[]", "manifest.json cannot be read (it is not an object)"),
    "config of numbers": ("config.yaml", "1: 2\n", "config.yaml has no seed"),
    "config cut off": ("config.yaml", "config_version: 2\nseed: 0\nevaluation: x\n", "config.yaml is incomplete"),
    "no predictions": ("predictions.jsonl", "", "has 0 answers, and scores.json counts 20"),
    "a torn line": ("predictions.jsonl", line() + line()[:20], "predictions.jsonl: 1 lines cannot be read"),
    "too few lines": ("predictions.jsonl", line(), COUNTED),
    "a score of NaN": ("predictions.jsonl", line(score=float("nan")), "1 lines cannot be read"),
    "bytes": ("predictions.jsonl", b"\xff\xfe\x00", "1 lines cannot be read"),
    "an image of a list": ("predictions.jsonl", line(image=["a.png"]), COUNTED),
    "an image with NUL": ("predictions.jsonl", line(image="a\0.png"), COUNTED),
    "a long image": ("predictions.jsonl", line(image="a" * 5000), COUNTED),
    "a lone surrogate": ("predictions.jsonl", line(question="\ud800"), COUNTED),
    "benchmarks of a list": ("benchmarks/scores.json", '{"families": []}', "benchmarks/scores.json cannot be read"),
    "deep benchmarks": ("benchmarks/scores.json", DEEP, "benchmarks/scores.json cannot be read"),
    "curves of text": ("metrics.csv", "step,loss\nx,y\n", "metrics.csv cannot be read"),
}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What one report of all damaged runs and a good one prints, and its page."""
    folder = tmp_path_factory.mktemp("reported")
    write_run(folder / "runs" / "good", ["fusion=deformable"], skill=0.7)
    for seed, (name, (file, content, _)) in enumerate(DAMAGED.items()):
        path = write_run(folder / "runs" / name, seed=seed) / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.setattr(
            sys, "argv", ["eaglebench", "task=report", f"report.runs={folder}/runs/*", f"report.to={folder}/out"]
        )
        main()
    return out.getvalue(), (folder / "out/index.html").read_text()


@pytest.mark.parametrize("name", DAMAGED)
def test_the_report_names_a_damaged_run(name: str, reported: tuple[str, str]) -> None:
    out, page = reported
    file, _, said = DAMAGED[name]
    if file != "metrics.csv":  # curves, which the page alone shows
        assert [one for one in out.splitlines() if one.startswith(f"{name}: ") and said in one]
    assert said in page


def test_the_report_shows_the_others(reported: tuple[str, str]) -> None:
    assert "| clip+sam | deformable | synthetic | **0.700 [0.670, 0.730]** |" in reported[0]


@pytest.mark.parametrize("folders", [["good"], ["a"], ["a", "b"]], ids=" and ".join)
def test_smoke_tests_are_left_out_counted_and_shown_when_asked_for(
    folders: list[str], command: Callable[..., Outcome], tmp_path: Path
) -> None:
    for name in folders:
        write_run(tmp_path / "runs" / name, ["fast=true"] if name != "good" else [], skill=0.9)
    arguments = ["task=report", f"report.runs={tmp_path}/runs/*", f"report.to={tmp_path}/out"]
    outcome = command(*arguments)
    assert outcome.code == 0, outcome.err
    said = {
        "good": "",
        "a": "No run is finished yet.\n\n1 smoke test (fast=true) is left out: report.smoke_tests=true shows it.",
        "a b": "2 smoke tests (fast=true) are left out: report.smoke_tests=true shows them.",
    }[" ".join(folders)]
    for text in (outcome.out, (tmp_path / "out/leaderboard.md").read_text()):
        assert said in text
    assert (said.split("\n\n")[-1] or "eaglebench") in (tmp_path / "out/index.html").read_text()
    assert ("0.900" in outcome.out) == (folders == ["good"])
    outcome = command(*arguments, "report.smoke_tests=true")
    assert "0.900" in outcome.out and "left out" not in outcome.out
    assert ("## smoke tests on synthetic" in outcome.out) == (folders != ["good"])


# The lines of the second run, where the first has LINE, and what the comparison says.
COMPARED = {
    "another id": (line(id="r"), "1 of the first alone, 1 of the second alone; 0 of both"),
    "one more": (line() + line(id="r"), "0 of the first alone, 1 of the second alone; 1 of both"),
    "another question": (line(question="which?"), "1 of the first alone, 1 of the second alone"),
    "another reference": (line(reference="b"), "1 of both, 1 with other references"),
    "more references": (line(references=["a", "b"]), "1 of both, 1 with other references"),
    "another image": (line(image_digest="ff"), "1 of both, 1 with another image"),
    "another metric": (line(metric="anls"), "1 of both, 1 with another metric"),
    "the same twice": (line() + line(), "has the question q of text twice"),
    "a torn line": (line() + line()[:20], "predictions.jsonl, line 2 is no answer to a question"),
    "no id": (json.dumps({name: value for name, value in LINE.items() if name != "id"}), "line 1 is no answer"),
    "a list for an id": (line(id=["q"]), "line 1 is no answer"),
    "a score of NaN": (line(score=float("nan")), "line 1 is no answer"),
    "a list": ("[]\n", "line 1 is no answer"),
    "deep": (DEEP, "line 1 is no answer"),
    "nothing": ("", "is not the folder of an evaluated run"),
}


@pytest.mark.parametrize("name", COMPARED)
def test_runs_that_cannot_be_compared_are_refused(name: str, command: Callable[..., Outcome], tmp_path: Path) -> None:
    lines, said = COMPARED[name]
    for folder, text in (("a", line(metric="exact", image_digest="00")), ("b", lines)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "predictions.jsonl").write_text(text)
    outcome = command("task=compare", f"compare.runs=[{tmp_path}/a,{tmp_path}/b]")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
    assert said in outcome.err
