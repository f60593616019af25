"""The leaderboard."""

import csv
import io
from pathlib import Path

from eaglebench.report.entries import RunEntry
from eaglebench.report.leaderboard import (
    build_leaderboard,
    to_csv,
    to_markdown,
    to_markdown_leaderboard,
    to_markdown_row,
)
from eaglebench.report.rankings import rank_runs
from tests.helpers.runs import make_questions, make_run


def test_a_row_for_each_setting_with_the_spread_over_its_seeds() -> None:
    (ranking,), _ = rank_runs(
        [make_run("clip", 0, 0.5, 0.1), make_run("clip", 1, 0.7, 0.1), make_run("sam", 0, 0.3, 0.2)]
    )
    assert to_markdown(build_leaderboard(ranking)).splitlines() == [
        "| experts | fusion | data | overall | n | over no image | chart | text | seeds | fields that differ |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| clip |  | synthetic | **0.350 ± 0.071** | 40 | +0.300 | **0.600 ± 0.141** | 0.100 ± 0.000 | 2 |  |",
        "| sam |  | synthetic | 0.250 [0.200, 0.400] | 40 | +0.200 | 0.300 | **0.200** | 1 |  |",
        "| *no image* |  |  | 0.050 ± 0.000 |  |  | 0.100 ± 0.000 | 0.000 ± 0.000 |  |  |",
    ]


def test_the_score_comes_before_whatever_else_differs() -> None:
    """However many fields: they are one cell, at the end."""
    before, now = ({f"stages.sft.field_{number}": value for number in range(20)} for value in "yx")
    (ranking,), _ = rank_runs([make_run("clip", 0, 0.5, 0.1, **before), make_run("clip", 0, 0.7, 0.1, **now)])
    header, best, *_ = build_leaderboard(ranking)
    assert header.index("overall") == 3
    assert best[-1].startswith("stages.sft.field_0=x, stages.sft.field_1=x, ")


def test_a_run_without_a_blind_score_has_a_row_too() -> None:
    one = make_run("clip", 0, 0.5, 0.1)
    del one.scores["overall"]["blind"]
    (ranking,), _ = rank_runs([one])
    _, row, blind = build_leaderboard(ranking)
    assert row[3:6] == ["**0.300 [0.200, 0.400]**", "40", "-"]
    assert blind == ["*no image*", "", "", "-", "", "", "0.100", "0.000", "", ""]


def test_every_set_of_questions_has_a_table_and_a_no_image_score_of_its_own() -> None:
    other = make_questions("my.json", chart="others", text="others")
    rankings, _ = rank_runs([make_run("clip", 0, 0.5, 0.1), make_run("sam", 0, 0.9, 0.9, blind=0.8, questions=other)])
    text = to_markdown_leaderboard(rankings, "1 smoke test (fast=true) is left out.")
    assert [line for line in text.splitlines() if line.startswith(("##", "1 smoke", "| *no image*"))] == [
        "1 smoke test (fast=true) is left out.",
        "## synthetic: 40 questions of 2 families",
        "| *no image* |  |  | 0.050 |  |  | 0.100 | 0.000 |  |  |",
        "## my.json: 40 questions of 2 families",
        "| *no image* |  |  | 0.800 |  |  | 0.100 | 0.000 |  |  |",
    ]
    assert to_markdown_leaderboard([], None) == "No run is finished yet."


def test_what_would_break_a_markdown_table_does_not() -> None:
    assert to_markdown_row(["a|b", "two\nlines"]) == r"| a\|b | two lines |"


def test_every_run_is_a_row_of_the_csv_with_the_key_of_its_questions() -> None:
    other = make_questions("my.json", chart="others", text="others")
    runs = [make_run("clip", 0, 0.5, 0.1), make_run("clip", 1, 0.7, 0.1), make_run("sam", 0, 0.7, 0.1, questions=other)]
    rankings, _ = rank_runs(runs)
    entries = [RunEntry(Path(run.name), {}, {}, None, 1000, 2.5, ()) for run in runs]
    first, second, third = csv.DictReader(io.StringIO(to_csv(rankings, entries)))
    assert (first["run"], first["seed"], first["overall"], first["overall_low"]) == ("clip0", "0", "0.3", "0.2")
    assert (second["chart"], second["chart_low"], second["chart_blind"]) == ("0.7", "", "0.1")
    assert (second["parameters"], second["training_seconds"]) == ("1000", "2.5")
    assert first["questions"] == second["questions"] != third["questions"]
    assert third["asked"] == "my.json: 40 questions of 2 families"
