"""The leaderboard."""

import csv
import io
from pathlib import Path

from eaglebench.report.entries import Entry
from eaglebench.report.leaderboard import csv_text, line, markdown, table
from eaglebench.report.settings import settings_of
from tests.report.test_settings import run


def test_a_row_for_each_setting_with_the_spread_over_its_seeds() -> None:
    settings, _ = settings_of([run("clip", 0, 0.5, 0.1), run("clip", 1, 0.7, 0.1), run("sam", 0, 0.3, 0.2)])
    assert markdown(table(settings)).splitlines() == [
        "| experts | overall | chart | text | seeds |",
        "| --- | --- | --- | --- | --- |",
        "| clip | **0.350 ± 0.071** | **0.600 ± 0.141** | 0.100 ± 0.000 | 2 |",
        "| sam | 0.250 | 0.300 | **0.200** | 1 |",
        "| *blind* | 0.050 ± 0.000 | 0.100 ± 0.000 | 0.000 ± 0.000 |  |",
    ]


def test_a_run_without_a_blind_score_has_a_row_too() -> None:
    one = run("clip", 0, 0.5, 0.1)
    del one.scores["overall"]["blind"]
    settings, _ = settings_of([one])
    assert table(settings)[-1] == ["*blind*", "-", "0.100", "0.000", ""]


def test_what_would_break_a_markdown_table_does_not() -> None:
    assert line(["a|b", "two\nlines"]) == r"| a\|b | two lines |"


def test_every_run_is_a_row_of_the_csv() -> None:
    settings, _ = settings_of([run("clip", 0, 0.5, 0.1), run("clip", 1, 0.7, 0.1)])
    entries = [Entry(Path(name), {}, {}, None, 1000, 2.5, ()) for name in ("clip0", "clip1")]
    first, second = csv.DictReader(io.StringIO(csv_text(settings, entries)))
    assert (first["run"], first["seed"], first["overall"], first["overall_low"]) == ("clip0", "0", "0.3", "0.2")
    assert (second["chart"], second["chart_low"], second["chart_blind"]) == ("0.7", "", "0.1")
    assert (second["parameters"], second["training_seconds"]) == ("1000", "2.5")
