"""TODO."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import Workshop
from eaglebench.stages.base import Stage


def parts_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Parts with their parameters and output, and the learning rate that each stage gives them."""
    table = Table(title="parts and learning rates", title_justify="left")
    table.add_column("part")
    table.add_column("parameters", justify="right")
    table.add_column("gives", justify="right")
    stages = [name for name in rows[0] if name not in ("part", "parameters", "gives")]
    for name in stages:
        table.add_column(name, justify="right")
    for row in rows:
        rates = [row[name] for name in stages]
        told = ["-" if rate is None else f"{rate:.0e}" if rate else "frozen" for rate in rates]
        table.add_row(row["part"], f"{row['parameters']:,}", row["gives"], *told)
    return table


def parts_rows(model: EagleModel, workshop: Workshop, stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Parts with their parameters and output, and the learning rate that each stage gives them, as values; the learning rate is 0 where a stage freezes a part, None where it has no place for it."""
    rows = []
    for name, part in model.parts().items():
        row = {"part": name, "parameters": sum(p.numel() for p in part.parameters()), "gives": gives(name, model)}
        for stage in stages:
            there = any(name in stage.part_names(unit) for unit in stage.units(workshop))
            row[stage.name] = stage.learning_rate(name, workshop) if there else None
        rows.append(row)
    return rows


def gives(name: str, model: EagleModel) -> str:
    """The shape that a part gives for one image."""
    if name.startswith("experts."):
        expert = model.experts[name.removeprefix("experts.")]
        return f"{expert.image_size} px -> {expert.grid}x{expert.grid}x{expert.channels}"
    if name == "fusion" and model.fusion is not None:
        return f"{model.fusion.visual_tokens} visual tokens"
    return ""
