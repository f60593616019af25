"""task=plan: what a run will need, before anything is downloaded."""

from omegaconf import DictConfig
from rich.progress import track

from eaglebench.config.build import build_blind, build_factory, build_stages
from eaglebench.config.schema import processes_of
from eaglebench.model.factory import ModelFactory
from eaglebench.profiling.estimate.meta_device import sketching
from eaglebench.profiling.estimate.sharding import sharding_of, strategy_of
from eaglebench.profiling.estimate.step_cost import outlay, parameters_of
from eaglebench.profiling.estimate.tables import Row, memory_table, work_table
from eaglebench.stages.base import Stage, StageUnit
from eaglebench.stages.summary import build_parts_table, summarize_parts
from eaglebench.training.devices import BF16
from eaglebench.training.hyperparameters import micro_batch_size
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError


def plan(cfg: DictConfig) -> None:
    """Print the parts, and for each unit of each stage memory, operations and time."""
    console = new_console()
    factory, stages = build_factory(cfg, without_weights=True), build_stages(cfg)
    with sketching():
        model, _ = factory.build_model(factory.experts)
    console.print(build_parts_table(summarize_parts(model, factory, stages)))
    blind = build_blind(cfg) if cfg.data.source == "synthetic" or cfg.data.val is not None else None
    trained = [*stages, blind] if blind is not None else stages
    units = [(stage, unit) for stage in trained for unit in stage.units(factory)]
    shown = track(units, "running shapes", console=console, disable=not console.is_terminal, transient=True)
    rows = [row_of(cfg, factory, stage, unit) for stage, unit in shown]
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


def row_of(cfg: DictConfig, factory: ModelFactory, stage: Stage, unit: StageUnit) -> Row:
    """What a unit needs."""
    with sketching():
        model, language = stage.build_model(unit, factory)
    rates = {part: stage.learning_rate(part, factory) for part in model.parts()}
    visual = model.tokens_per_image
    tokens = max(min(cfg.plan.tokens or language.max_length, language.max_length), visual + 1)
    world = processes_of(cfg)
    hyperparameters = stage.hyperparameters
    piece = micro_batch_size(stage.config_path, hyperparameters.batch_size, hyperparameters.micro_batch, world)
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
        step_flops=found.flops * hyperparameters.batch_size / piece,
        steps=hyperparameters.steps if samples is None else hyperparameters.total_steps(samples),
    )


def samples_of(cfg: DictConfig) -> int | None:
    """Training samples, as far as they are known without reading any."""
    if cfg.plan.samples is not None:
        return int(cfg.plan.samples)
    return int(cfg.world.train_images) if cfg.data.source == "synthetic" else None
