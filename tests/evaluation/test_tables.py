"""The table of scores."""

from rich.console import Console

from eaglebench.evaluation.tables import build_scores_table
from tests.helpers.tables import row_cells


def test_scores_beside_their_blind_twins() -> None:
    row = {"score": 0.5, "stderr": 0.05, "blind": 0.1234, "n": 100}
    table = build_scores_table({"overall": row, "families": {"chart": row}})
    assert row_cells(table)["chart"] == row_cells(table)["overall"] == ["0.500 ± 0.050", "0.123", "100"]
    Console(quiet=True).print(table)


def test_the_score_with_other_questions_stands_beside_where_there_is_one() -> None:
    row = {"score": 0.5, "stderr": 0.05, "blind": 0.1, "n": 100}
    table = build_scores_table({"overall": row, "families": {"chart": {**row, "other_question": 0.2}, "counting": row}})
    cells = row_cells(table)
    assert cells["chart"] == ["0.500 ± 0.050", "0.100", "0.200", "100"]
    assert cells["counting"] == cells["overall"] == ["0.500 ± 0.050", "0.100", "-", "100"]


def test_benchmarks_that_are_not_counted_as_in_the_paper_are_named_below() -> None:
    row = {"score": 0.5, "stderr": 0.05, "n": 100, "figure": 50.0}
    table = build_scores_table(
        {"overall": row, "families": {"gqa": row, "docvqa": {**row, "differs": "it names no split"}}}
    )
    assert table.caption == "not scored as in Eagle's paper:\ndocvqa: it names no split"


def test_metrics_that_differ_from_the_official_script_are_named_below() -> None:
    row = {"score": 0.5, "stderr": 0.05, "n": 100}
    families = {"mine": {**row, "metric_differs": "synonyms do not match"}, "yours": row}
    table = build_scores_table({"overall": row, "families": families})
    assert table.caption == "not scored as by the official script:\nmine: synonyms do not match"
