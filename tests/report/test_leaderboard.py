"""The leaderboard."""

import csv
import io
from pathlib import Path

from eaglebench.report.entries import RunEntry
from eaglebench.report.leaderboard import build_leaderboard, to_csv, to_markdown, to_markdown_row
from eaglebench.report.settings import group_runs
from tests.helpers.runs import make_run


def test_a_row_for_each_setting_with_the_spread_over_its_seeds() -> None:
    settings, _ = group_runs(
        [make_run("clip", 0, 0.5, 0.1), make_run("clip", 1, 0.7, 0.1), make_run("sam", 0, 0.3, 0.2)]
    )
    assert to_markdown(build_leaderboard(settings)).splitlines() == [
        "| experts | overall | chart | text | seeds |",
        "| --- | --- | --- | --- | --- |",
        "| clip | **0.350 ± 0.071** | **0.600 ± 0.141** | 0.100 ± 0.000 | 2 |",
        "| sam | 0.250 | 0.300 | **0.200** | 1 |",
        "| *blind* | 0.050 ± 0.000 | 0.100 ± 0.000 | 0.000 ± 0.000 |  |",
    ]


def test_a_run_without_a_blind_score_has_a_row_too() -> None:
    one = make_run("clip", 0, 0.5, 0.1)
    del one.scores["overall"]["blind"]
    settings, _ = group_runs([one])
    assert build_leaderboard(settings)[-1] == ["*blind*", "-", "0.100", "0.000", ""]


def test_what_would_break_a_markdown_table_does_not() -> None:
    assert to_markdown_row(["a|b", "two\nlines"]) == r"| a\|b | two lines |"


def test_every_run_is_a_row_of_the_csv() -> None:
    settings, _ = group_runs([make_run("clip", 0, 0.5, 0.1), make_run("clip", 1, 0.7, 0.1)])
    entries = [RunEntry(Path(name), {}, {}, None, 1000, 2.5, ()) for name in ("clip0", "clip1")]
    first, second = csv.DictReader(io.StringIO(to_csv(settings, entries)))
    assert (first["run"], first["seed"], first["overall"], first["overall_low"]) == ("clip0", "0", "0.3", "0.2")
    assert (second["chart"], second["chart_low"], second["chart_blind"]) == ("0.7", "", "0.1")
    assert (second["parameters"], second["training_seconds"]) == ("1000", "2.5")
