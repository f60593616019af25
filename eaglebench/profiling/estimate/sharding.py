"""TODO."""

from collections.abc import Mapping
from dataclasses import replace

from omegaconf import DictConfig

from eaglebench.config.schema import plain, processes_of
from eaglebench.profiling.estimate.step_cost import Sharding

# What a strategy keeps in shards; nothing where there is none, or DDP.
SHARDINGS: Mapping[str, Sharding] = {
    "fsdp": Sharding(weights=True, gradients=True, optimizer=True, rest_is_whole=True),
    "deepspeed 2": Sharding(gradients=True, optimizer=True),
    "deepspeed 3": Sharding(weights=True, gradients=True, optimizer=True),
}


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
