"""What task=plan does: estimates memory, operations and time of a run."""

from rich.progress import track

from eaglebench.config.build import build_blind, build_factory, build_stages
from eaglebench.config.compose import Command
from eaglebench.config.schema import Config
from eaglebench.model.factory import ModelFactory
from eaglebench.profiling.estimate.meta_device import on_meta_device
from eaglebench.profiling.estimate.sharding import describe_strategy, read_sharding
from eaglebench.profiling.estimate.step_cost import count_parameters, estimate_step_cost
from eaglebench.profiling.estimate.tables import PlannedUnit, build_memory_table, build_work_table
from eaglebench.stages.base import Stage, StageUnit
from eaglebench.stages.summary import build_parts_table, summarize_parts
from eaglebench.training.devices import BF16
from eaglebench.training.hyperparameters import micro_batch_size
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError


def print_plan(command: Command) -> None:
    """Print the parts of a run, and memory, operations and time of each unit that trains.

    Raises:
        UserError: nothing trains, or parts do not fit together.
    """
    config, console = command.config, new_console()
    assert config.plan is not None
    factory, stages = build_factory(config, without_weights=True), build_stages(config)
    with on_meta_device():
        model, _ = factory.build_model(factory.experts)
    console.print(build_parts_table(summarize_parts(model, factory, stages)))
    blind = build_blind(config) if config.data.source == "synthetic" or config.data.val is not None else None
    trained = [*stages, blind] if blind is not None else stages
    pairs = [(stage, unit) for stage in trained for unit in stage.units(factory)]
    shown = track(pairs, "tracing shapes", console=console, disable=not console.is_terminal, transient=True)
    units = [plan_unit(config, factory, stage, unit) for stage, unit in shown]
    if not units:
        raise UserError("every stage has nothing to train: name stages, or experts that train.")
    count = config.trainer.processes
    devices = f"each of {count} devices" if count > 1 else "a device"
    console.print(build_memory_table(units, f"on {devices} ({describe_strategy(config.trainer)})"))
    console.print(build_work_table(units, config.plan.flops))
    console.print(
        "Memory is the peak of a micro-batch, without communication buffers and what the allocator caches; hours are "
        f"those of one device at {config.plan.flops:.3g} operations a second (plan.flops).",
        soft_wrap=True,
    )
    if any(unit.steps is None for unit in units):
        console.print("How long an epoch is depends on the data: give plan.samples=N.")


def plan_unit(config: Config, factory: ModelFactory, stage: Stage, unit: StageUnit) -> PlannedUnit:
    """What a unit of a stage needs."""
    assert config.plan is not None
    with on_meta_device():
        model, language = stage.build_model(unit, factory)
    learning_rates = {part: stage.learning_rate(part, factory) for part in model.parts()}
    visual_tokens = model.tokens_per_image
    tokens = max(min(config.plan.tokens or language.max_length, language.max_length), visual_tokens + 1)
    processes, hyperparameters = config.trainer.processes, stage.hyperparameters
    batch_size = hyperparameters.batch_size
    micro_batch = micro_batch_size(stage.config_path, batch_size, hyperparameters.micro_batch, processes)
    bfloat16 = config.trainer.precision == BF16
    cost = estimate_step_cost(model, learning_rates, micro_batch, tokens, bfloat16)
    parameters, trainable = map(sum, zip(*map(count_parameters, model.parts().values()), strict=True))
    samples = count_samples(config)
    return PlannedUnit(
        label=unit.label,
        trainable=trainable,
        parameters=parameters,
        micro_batch=micro_batch,
        tokens=tokens,
        visual_tokens=visual_tokens,
        step_cost=cost.per_device(read_sharding(config.trainer), processes),
        step_flops=cost.flops * batch_size / micro_batch,
        steps=hyperparameters.steps if samples is None else hyperparameters.total_steps(samples),
    )


def count_samples(config: Config) -> int | None:
    """The number of training samples; None where it is not known without reading the data."""
    assert config.plan is not None
    if config.plan.samples is not None:
        return config.plan.samples
    return config.world.train_images if config.data.source == "synthetic" else None
