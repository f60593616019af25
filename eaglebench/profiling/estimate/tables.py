"""TODO."""

from dataclasses import dataclass

from rich.table import Table

from eaglebench.profiling.estimate.step_cost import Outlay

GB = 1e9


@dataclass(frozen=True)
class Row:
    """What one unit of a stage needs.

    Attributes:
        label: of the unit.
        trains, parameters: how many numbers.
        piece, tokens, visual: samples of a micro-batch, their tokens, and how many of these are an image's.
        outlay: on each device.
        step_flops: of a step on all devices.
        steps: of the stage; None if the number of samples is not known.
    """

    label: str
    trains: int
    parameters: int
    piece: int
    tokens: int
    visual: int
    outlay: Outlay
    step_flops: float
    steps: int | None

    def hours(self, flops: float) -> float | None:
        """Hours of one device that does so many operations a second."""
        return None if self.steps is None else self.step_flops * self.steps / flops / 3600


def memory_table(rows: list[Row], title: str) -> Table:
    """What each unit holds on a device when it holds most."""
    unit, name = (GB, "GB") if max(row.outlay.total for row in rows) >= GB else (GB / 1000, "MB")
    table = Table(title=f"{name} {title}", title_justify="left")
    table.add_column("stage", no_wrap=True)
    for column in ("micro-batch", "tokens (visual)", "weights", "gradients", "optimizer", "activations", "peak"):
        table.add_column(column, justify="right")
    for row in rows:
        held = row.outlay
        table.add_row(
            row.label,
            str(row.piece),
            f"{row.tokens:,} ({row.visual:,})",
            *(
                f"{part / unit:,.1f}"
                for part in (held.weights, held.gradients, held.optimizer, held.activations, held.total)
            ),
        )
    return table


def work_table(rows: list[Row], flops: float) -> Table:
    """Parameters, operations and time of each unit."""
    table = Table(title="work of all devices", title_justify="left")
    table.add_column("stage", no_wrap=True)
    for column in ("trains", "parameters", "TFLOPs a step", "steps", "hours"):
        table.add_column(column, justify="right")
    for row in rows:
        hours = row.hours(flops)
        table.add_row(
            row.label,
            f"{row.trains:,}",
            f"{row.parameters:,}",
            f"{row.step_flops / 1e12:,.2f}",
            "-" if row.steps is None else f"{row.steps:,}",
            "-" if hours is None else f"{hours:,.1f}" if hours >= 1 else f"{hours:.1g}",
        )
    return table
