"""The parts of a model with their sizes, and the learning rate that each stage gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ExpertSpec, ModelFactory
from eaglebench.stages.base import Stage
from eaglebench.utils.errors import UserError

PART, PARAMETERS, OUTPUT_SHAPE = "part", "parameters", "output shape"  # columns; the others are stages


def summarize_parts(model: EagleModel, factory: ModelFactory, stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """A row for each part: name, number of parameters, output shape, and its learning rate in each stage.

    The learning rate is 0 in a stage that freezes the part, and None in a stage whose models lack it.

    Raises:
        UserError: an expert that no stage trains has settings of its training.
    """
    rows = []
    for name, part in model.parts().items():
        count = sum(parameter.numel() for parameter in part.parameters())
        row = {PART: name, PARAMETERS: count, OUTPUT_SHAPE: describe_output(name, model)}
        for stage in stages:
            has_part = any(name in stage.input_parts(unit) for unit in stage.units(factory))
            row[stage.name] = stage.learning_rate(name, factory) if has_part else None
        rows.append(row)
        if name.startswith("experts.") and not any(row[stage.name] for stage in stages):
            refuse_untrained(name, factory.experts[name.removeprefix("experts.")], stages)
    return rows


def refuse_untrained(path: str, expert: ExpertSpec, stages: Sequence[Stage]) -> None:
    """Refuse what would have no effect: a rate or adapters of an expert that no stage trains."""
    wanted = {"lr": expert.lr, "layer_decay": expert.layer_decay != 1, "lora.rank": expert.lora["rank"]}
    for field in (field for field, given in wanted.items() if given):
        way = f"leave out {path}.frozen" if expert.frozen else f"add stages.{stages[-1].name}.lr.experts=1e-4"
        raise UserError(f"{path}.{field} has no effect, since no stage trains this expert: {way}, or leave it out.")


def build_parts_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows of `summarize_parts` as a table for the console."""
    table = Table(title="parts and learning rates", title_justify="left")
    table.add_column(PART)
    table.add_column(PARAMETERS, justify="right")
    table.add_column(OUTPUT_SHAPE, justify="right")
    stages = [name for name in rows[0] if name not in (PART, PARAMETERS, OUTPUT_SHAPE)]
    for name in stages:
        table.add_column(name, justify="right")
    for row in rows:
        rates = [row[name] for name in stages]
        cells = ["-" if rate is None else f"{rate:.1e}".replace(".0e", "e") if rate else "frozen" for rate in rates]
        table.add_row(row[PART], f"{row[PARAMETERS]:,}", row[OUTPUT_SHAPE], *cells)
    return table


def describe_output(name: str, model: EagleModel) -> str:
    """What the part of this name gives for one image; empty if that is no feature map and no visual tokens."""
    if name.startswith("experts."):
        expert = model.experts[name.removeprefix("experts.")]
        return f"{expert.image_size} px -> {expert.grid}x{expert.grid}x{expert.channels}"
    if name == "fusion" and model.fusion is not None:
        return f"{model.fusion.visual_tokens} visual tokens"
    return ""
