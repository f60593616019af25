"""Tables for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from eaglebench.model import EagleModel
from eaglebench.stages.base import Stage
from eaglebench.stages.workshop import Workshop


def parts_table(model: EagleModel, workshop: Workshop, stages: Sequence[Stage]) -> Table:
    """Parts with their parameters and output, and the learning rate that each stage gives them."""
    table = Table(title="parts and learning rates", title_justify="left")
    table.add_column("part")
    table.add_column("parameters", justify="right")
    table.add_column("gives", justify="right")
    for stage in stages:
        table.add_column(stage.name, justify="right")
    for name, part in model.parts().items():
        rates = []
        for stage in stages:
            if not any(name in stage.part_names(unit) for unit in stage.units(workshop)):
                rates.append("-")
                continue
            rate = stage.learning_rate(name, workshop)
            rates.append(f"{rate:.0e}" if rate else "frozen")
        table.add_row(name, f"{sum(p.numel() for p in part.parameters()):,}", gives(name, model), *rates)
    return table


def gives(name: str, model: EagleModel) -> str:
    """The shape that a part gives for one image."""
    if name.startswith("experts."):
        expert = model.experts[name.removeprefix("experts.")]
        return f"{expert.image_size} px -> {expert.grid}x{expert.grid}x{expert.channels}"
    if name == "fusion" and model.fusion is not None:
        return f"{model.fusion.visual_tokens} visual tokens"
    return ""


def scores_table(result: dict[str, Any]) -> Table:
    """Family, score with its standard error, blind score, and number of questions."""
    table = Table(title="held-out scores", title_justify="left")
    table.add_column("family")
    for column in ("score", "blind", "n"):
        table.add_column(column, justify="right")
    for name, row in result["families"].items():
        table.add_row(*scores_row(name, row))
    table.add_section()
    table.add_row(*scores_row("overall", result["overall"]))
    return table


def scores_row(name: str, row: dict[str, Any]) -> tuple[str, str, str, str]:
    """The cells of one row."""
    return name, f"{row['score']:.3f} ± {row['stderr']:.3f}", f"{row['blind']:.3f}", str(row["n"])
