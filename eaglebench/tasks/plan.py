"""task=plan: what a run will need, before anything is downloaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from omegaconf import DictConfig
from rich.progress import track
from rich.table import Table

from eaglebench.config.build import build_blind, build_stages, build_workshop, new_console, plain, processes_of
from eaglebench.evaluation.tables import parts_rows, parts_table
from eaglebench.model.factory import Workshop
from eaglebench.profiling.estimate.meta_device import sketching
from eaglebench.profiling.estimate.step_cost import Outlay, Sharding, outlay, parameters_of
from eaglebench.stages.base import Stage, Unit
from eaglebench.training.micro_batches import piece_size
from eaglebench.training.strategies import BF16
from eaglebench.utils.errors import UserError

GB = 1e9
# What a strategy keeps in shards; nothing where there is none, or DDP.
SHARDINGS: Mapping[str, Sharding] = {
    "fsdp": Sharding(weights=True, gradients=True, optimizer=True, rest_is_whole=True),
    "deepspeed 2": Sharding(gradients=True, optimizer=True),
    "deepspeed 3": Sharding(weights=True, gradients=True, optimizer=True),
}


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


def plan(cfg: DictConfig) -> None:
    """Print the parts, and for each unit of each stage memory, operations and time."""
    console = new_console()
    workshop, stages = build_workshop(cfg, outlines=True), build_stages(cfg)
    with sketching():
        model, _ = workshop.eagle(workshop.experts)
    console.print(parts_table(parts_rows(model, workshop, stages)))
    blind = build_blind(cfg) if cfg.data.source == "synthetic" or cfg.data.val is not None else None
    trained = [*stages, blind] if blind is not None else stages
    units = [(stage, unit) for stage in trained for unit in stage.units(workshop)]
    shown = track(units, "running shapes", console=console, disable=not console.is_terminal, transient=True)
    rows = [row_of(cfg, workshop, stage, unit) for stage, unit in shown]
    if not rows:
        raise UserError("every stage has nothing to train: name stages, or experts that train.")
    count = processes_of(cfg)
    console.print(
        memory_table(rows, f"on {f'each of {count} devices' if count > 1 else 'a device'} ({strategy_of(cfg)})")
    )
    console.print(work_table(rows, cfg.plan.flops))
    console.print(
        f"Memory is that of a micro-batch at its peak, without buffers of the exchange between devices and what an allocator keeps; hours "
        f"are those of one device at {cfg.plan.flops:.3g} operations a second (plan.flops).",
        soft_wrap=True,
    )
    if any(row.steps is None for row in rows):
        console.print("How long an epoch is depends on the data: give plan.samples=N.")


def row_of(cfg: DictConfig, workshop: Workshop, stage: Stage, unit: Unit) -> Row:
    """What a unit needs."""
    with sketching():
        model, language = stage.model(unit, workshop)
    rates = {part: stage.learning_rate(part, workshop) for part in model.parts()}
    visual = model.tokens_of_an_image
    tokens = max(min(cfg.plan.tokens or language.max_length, language.max_length), visual + 1)
    world = processes_of(cfg)
    schedule = stage.schedule
    piece = piece_size(stage.config, schedule.batch_size, schedule.micro_batch, world)
    found = outlay(model, rates, piece, tokens, cfg.trainer.precision == BF16)
    parameters, trains = map(sum, zip(*map(parameters_of, model.parts().values()), strict=True))
    samples = samples_of(cfg)
    return Row(
        label=unit.label,
        trains=trains,
        parameters=parameters,
        piece=piece,
        tokens=tokens,
        visual=visual,
        outlay=found.spread(sharding_of(cfg), world),
        step_flops=found.flops * schedule.batch_size / piece,
        steps=schedule.steps if samples is None else schedule.length(samples),
    )


def samples_of(cfg: DictConfig) -> int | None:
    """Training samples, as far as they are known without reading any."""
    if cfg.plan.samples is not None:
        return int(cfg.plan.samples)
    return int(cfg.world.train_images) if cfg.data.source == "synthetic" else None


def strategy_of(cfg: DictConfig) -> str:
    """The strategy in words."""
    if cfg.trainer.strategy is None:
        return "ddp" if processes_of(cfg) > 1 else str(cfg.trainer.precision)
    strategy = plain(cfg.trainer.strategy)
    name = strategy["_target_"].rpartition(".")[2]
    return f"{name} {strategy['stage']}" if "stage" in strategy else name


def sharding_of(cfg: DictConfig) -> Sharding:
    """What the strategy keeps in shards and elsewhere."""
    strategy = cfg.trainer.strategy or {}
    return replace(
        SHARDINGS.get(strategy_of(cfg), Sharding()),
        optimizer_away=bool(strategy.get("offload_optimizer")),
        weights_away=bool(strategy.get("offload_parameters")),
    )


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
