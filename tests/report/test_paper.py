"""The paper's tables."""

import pytest

from eaglebench.report.paper import list_experts, load_paper

BENCHMARKS_OF_X5 = (64.7, 1528 / 20, 52.9, 69.7, 88.8, 78.6, 67.7, 73.9, 59.1, 72.8, 62.2)  # Table 13, first row


def test_scores_are_those_of_the_paper() -> None:
    tables = {table.name: table for table in load_paper()}
    assert [len(table.rows) for table in tables.values()] == [8, 10, 7, 16, 11, 8]
    assert all(len(row.printed) == len(table.columns) for table in tables.values() for row in table.rows)
    # The same run in several tables.
    assert tables["Table 4"].rows[1].score == tables["Table 5"].rows[6].score == tables["Figure 4"].rows[0].score
    assert tables["Table 4"].rows[6].score == tables["Figure 4"].rows[2].score == 690.4
    assert tables["Figure 4"].rows[9].score == tables["Table 7"].rows[0].score
    assert sum(BENCHMARKS_OF_X5) * 10 / 11 == pytest.approx(tables["Table 7"].rows[0].score, abs=0.3)


def test_the_experts_are_those_of_the_paper() -> None:
    assert list_experts() == ["clip", "convnext", "dinov2", "eva02", "pix2struct", "sam"]
