"""The tables and the picture say what they should."""

from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from eaglebench.config.build import build_stages, build_workshop
from eaglebench.evaluation.figure import draw_samples, shortened
from eaglebench.evaluation.tables import scores_table
from eaglebench.stages.summary import parts_rows, parts_table
from tests.conftest import composed


def cells(table: Table) -> dict[str, list[str]]:
    """The text of each row by its first cell."""
    columns = [list(column.cells) for column in table.columns]
    return {str(row[0]): [str(cell) for cell in row[1:]] for row in zip(*columns, strict=True)}


def test_parts_with_parameters_and_the_learning_rate_of_each_stage() -> None:
    cfg = composed("experts.clip.frozen=true", "experts.sam.lr=1e-4", "stages=[pre_align,projector,sft]")
    workshop = build_workshop(cfg)
    model, _ = workshop.eagle(workshop.experts)
    table = parts_table(parts_rows(model, workshop, build_stages(cfg)))
    assert [str(column.header) for column in table.columns] == [
        "part",
        "parameters",
        "gives",
        "pre_align",
        "projector",
        "sft",
    ]
    rows = cells(table)
    assert rows["experts.clip"] == ["116,608", "64 px -> 4x4x256", "-", "frozen", "frozen"]
    assert rows["experts.sam"][2:] == ["1e-04", "frozen", "1e-04"]
    assert rows["llm"][2:] == ["frozen", "frozen", "1e-03"]


def test_scores_beside_their_blind_twins() -> None:
    row = {"score": 0.5, "stderr": 0.05, "blind": 0.1234, "n": 100}
    table = scores_table({"overall": row, "families": {"chart": row}})
    assert cells(table)["chart"] == cells(table)["overall"] == ["0.500 ± 0.050", "0.123", "100"]
    Console(quiet=True).print(table)


def test_benchmarks_that_are_not_counted_as_in_the_paper_are_named_below() -> None:
    row = {"score": 0.5, "stderr": 0.05, "n": 100, "figure": 50.0}
    table = scores_table({"overall": row, "families": {"gqa": row, "docvqa": {**row, "differs": "it names no split"}}})
    assert table.caption == "not quite as in Eagle's paper:\ndocvqa: it names no split"


def test_a_picture_with_and_without_images_and_with_awkward_text(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    row = {"family": "x", "question": "$ what\nis it?" * 5, "reference": "$5", "prediction": "", "score": 0.0}
    draw_samples([{**row, "image": str(tmp_path / "a.png")}, {**row, "image": None}], tmp_path / "out" / "samples.png")
    with Image.open(tmp_path / "out" / "samples.png") as picture:
        assert picture.width > 300
    assert shortened("a\n$b") == r"a \$b"
