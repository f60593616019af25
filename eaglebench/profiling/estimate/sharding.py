"""What each strategy of conf/trainer/ keeps in shards, and what in the memory of the CPU."""

from pkgutil import resolve_name

from eaglebench.config.schema import TrainerConfig
from eaglebench.profiling.estimate.step_cost import Sharding
from eaglebench.training.strategies import deepspeed, fsdp


def read_sharding(trainer: TrainerConfig) -> Sharding:
    """The sharding of a trainer's strategy; none without a strategy, for DDP, and for functions of other packages."""
    if trainer.strategy is None:
        return Sharding()
    build, arguments = resolve_name(trainer.strategy.target), trainer.strategy.arguments
    if build is fsdp:
        return Sharding(weights=True, gradients=True, optimizer=True, gathers_rest=True)
    if build is not deepspeed:
        return Sharding()
    return Sharding(
        weights=arguments["stage"] >= 3,
        gradients=arguments["stage"] >= 2,
        optimizer=True,
        optimizer_on_cpu=bool(arguments.get("offload_optimizer")),
        weights_on_cpu=bool(arguments.get("offload_parameters")),
    )


def describe_strategy(trainer: TrainerConfig) -> str:
    """The strategy in a few words, as in `deepspeed 3`; on a single device, the precision."""
    if trainer.strategy is None:
        return "ddp" if trainer.processes > 1 else trainer.precision
    name: str = resolve_name(trainer.strategy.target).__name__
    stage = trainer.strategy.arguments.get("stage")
    return name if stage is None else f"{name} {stage}"
