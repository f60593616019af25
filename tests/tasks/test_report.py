"""task=report."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Outcome
from tests.helpers.run_folders import write_run


def test_the_report_of_a_run_that_a_training_wrote(
    command: Callable[..., Outcome], finished_run: Path, tmp_path: Path
) -> None:
    asked = f"report.runs={finished_run}", f"report.to={tmp_path}/out", "report.smoke_tests=true"
    outcome = command("task=report", *asked)
    assert outcome.code == 0, outcome.err
    overall = json.loads((finished_run / "scores.json").read_text())["overall"]["score"]
    board = (tmp_path / "out" / "leaderboard.md").read_text()
    assert board.startswith("## smoke tests on synthetic: 21 questions of 7 families\n\nScored by exact: ")
    assert f"| clip+sam | channel_concat | synthetic | **{overall:.3f} [" in board
    (row,) = csv.DictReader((tmp_path / "out" / "leaderboard.csv").open())
    assert float(row["overall"]) == overall and int(row["parameters"]) > 100_000 and float(row["training_seconds"]) > 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "data:image/webp;base64," in page and "sft/loss" in page
    assert "| SAM | yes | yes | 672.3 | " in (tmp_path / "out" / "paper.md").read_text()
    assert "runs: 1; wrote" in outcome.out


def test_unfinished_and_repeated_runs_are_named_and_not_in_the_table(
    command: Callable[..., Outcome], tmp_path: Path
) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "runs" / f"a{seed}", seed=seed, skill=0.4 + seed / 5)
    write_run(tmp_path / "runs" / "again", seed=1, skill=0.9)
    (write_run(tmp_path / "runs" / "half", seed=2) / "manifest.json").unlink()
    (tmp_path / "runs" / "zoo").mkdir()
    outcome = command("task=report", f"report.runs={tmp_path}/runs/*", f"report.to={tmp_path}/out")
    assert outcome.code == 0, outcome.err
    assert "again: not in the means: the setting and seed of a1" in outcome.out
    assert "half: no manifest.json: the training has not ended" in outcome.out
    assert (
        "| clip+sam | channel_concat | synthetic | **0.500 ± 0.141** |"
        in (tmp_path / "out" / "leaderboard.md").read_text()
    )
    assert "runs: 2; wrote" in outcome.out


def test_runs_on_other_questions_stand_in_a_ranking_of_their_own(
    command: Callable[..., Outcome], tmp_path: Path
) -> None:
    write_run(tmp_path / "runs" / "a", skill=0.4)
    write_run(tmp_path / "runs" / "b", ["fusion=deformable"], skill=0.5)
    own = ["data=llava_json", "data.train=my.json", "data.val=held_out.json", "data.image_root=."]
    write_run(tmp_path / "runs" / "c", own, skill=0.9, asked="what is", blind=0.7)
    outcome = command("task=report", f"report.runs={tmp_path}/runs/*", f"report.to={tmp_path}/out")
    assert outcome.code == 0, outcome.err
    lines = (tmp_path / "out" / "leaderboard.md").read_text().splitlines()
    shown = [line.split(" | ")[:6] for line in lines if line.startswith(("## ", "| clip", "| *no"))]
    assert shown == [
        ["## synthetic: 20 questions of 5 families"],
        ["| clip+sam", "deformable", "synthetic", "**0.500 [0.470, 0.530]**", "20", "+0.400"],
        ["| clip+sam", "channel_concat", "synthetic", "0.400 [0.370, 0.430]", "20", "+0.300"],
        ["| *no image*", "", "", "0.100 ± 0.000", "", ""],
        ["## held_out.json: 20 questions of 5 families"],
        ["| clip+sam", "channel_concat", "my.json", "**0.900 [0.870, 0.930]**", "20", "+0.200"],
        ["| *no image*", "", "", "0.700", "", ""],
    ]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "They answered 2 different sets of questions, each with its own ranking." in page
    assert len({row["questions"] for row in csv.DictReader((tmp_path / "out" / "leaderboard.csv").open())}) == 2


def test_plots_of_an_earlier_report_do_not_stay(command: Callable[..., Outcome], tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    (run / "scores.json").unlink()
    (tmp_path / "out" / "plots").mkdir(parents=True)
    (tmp_path / "out" / "plots" / "fusion.svg").touch()
    outcome = command("task=report", f"report.runs={run}", f"report.to={tmp_path}/out")
    assert outcome.code == 0, outcome.err
    assert not list((tmp_path / "out" / "plots").iterdir())
    assert "No run is finished yet." in outcome.out


def test_what_cannot_be_reported_is_refused(command: Callable[..., Outcome], tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_run(tmp_path / place / "same")
    (tmp_path / "file").touch()
    for overrides, problem in (
        ([f"report.runs={tmp_path}/none*"], "matches no folder of a finished run"),
        ([f"report.runs={tmp_path}/*/same"], "matches two folders with the name same"),
        ([f"report.to={tmp_path}/file"], "is a file"),
        (["report.images=-1"], "report.images=-1 must be a whole number"),
    ):
        outcome = command("task=report", *overrides)
        assert outcome.code == 2 and problem in outcome.err, overrides
