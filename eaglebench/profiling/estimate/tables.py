"""The tables of task=plan: memory, and work."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from eaglebench.profiling.estimate.step_cost import StepCost

GB = 1e9


@dataclass(frozen=True)
class PlannedUnit:
    """What one unit of a stage needs.

    Attributes:
        label: of the unit, as in `pre_align/sam`.
        trainable, parameters: how many numbers train, and how many there are.
        micro_batch: samples of a device's forward pass.
        tokens: of a sample, its visual tokens among them.
        visual_tokens: of an image.
        step_cost: on each device.
        step_flops: floating-point operations of an optimizer step on all devices.
        steps: of the stage; None if the number of samples is not known.
    """

    label: str
    trainable: int
    parameters: int
    micro_batch: int
    tokens: int
    visual_tokens: int
    step_cost: StepCost
    step_flops: float
    steps: int | None

    def hours(self, flops: float) -> float | None:
        """Hours of one device that does `flops` operations a second; None if the number of steps is not known."""
        return None if self.steps is None else self.step_flops * self.steps / flops / 3600


def build_memory_table(units: Sequence[PlannedUnit], title: str) -> Table:
    """A table of the memory of each unit on one device at its peak, in MB or GB."""
    unit, name = (GB, "GB") if max(one.step_cost.peak for one in units) >= GB else (GB / 1000, "MB")
    table = Table(title=f"{name} {title}", title_justify="left")
    table.add_column("stage", no_wrap=True)
    for column in ("micro-batch", "tokens (visual)", "weights", "gradients", "optimizer", "activations", "peak"):
        table.add_column(column, justify="right")
    for one in units:
        cost = one.step_cost
        table.add_row(
            one.label,
            str(one.micro_batch),
            f"{one.tokens:,} ({one.visual_tokens:,})",
            *(
                f"{part / unit:,.1f}"
                for part in (cost.weights, cost.gradients, cost.optimizer, cost.activations, cost.peak)
            ),
        )
    return table


def build_work_table(units: Sequence[PlannedUnit], flops: float) -> Table:
    """A table of the parameters, operations and hours of each unit.

    Args:
        flops: operations a second of one device.
    """
    table = Table(title="work of all devices", title_justify="left")
    table.add_column("stage", no_wrap=True)
    for column in ("trainable", "parameters", "TFLOPs a step", "steps", "hours"):
        table.add_column(column, justify="right")
    for one in units:
        hours = one.hours(flops)
        table.add_row(
            one.label,
            f"{one.trainable:,}",
            f"{one.parameters:,}",
            f"{one.step_flops / 1e12:,.2f}",
            "-" if one.steps is None else f"{one.steps:,}",
            "-" if hours is None else f"{hours:,.1f}" if hours >= 1 else f"{hours:.1g}",
        )
    return table
