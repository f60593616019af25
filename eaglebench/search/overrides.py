"""TODO."""

from collections.abc import Mapping, Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from eaglebench.search.selection import Set
from eaglebench.search.trials import Trial
from eaglebench.utils.errors import UserError


def of_experts(words: Sequence[str]) -> dict[str, list[str]]:
    """The words that are of one expert each, by its name: they go to the trials that have it.

    Raises:
        UserError: one sets what is each trial's own.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        group, _, rest = field_of(word).partition(".")
        if group == "seed" or (group == "experts" and not rest):
            instead = "select.seeds=N" if group == "seed" else "select.start and select.pool"
            raise UserError(f"{word} is each trial's own here: give {instead}.")
        if group == "experts":
            found.setdefault(rest.partition(".")[0], []).append(word)
    return found


def words_of(one: Set, own: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The words of a set of experts."""
    return (f"experts=[{','.join(one)}]", *(word for name in one for word in own.get(name, ())))


def trials_of(one: Set, seeds: int, own: Mapping[str, Sequence[str]]) -> list[Trial]:
    """A trial of a set for each seed."""
    label = "+".join(one)
    return [
        Trial(f"{label} seed {seed}" if seeds > 1 else label, (*words_of(one, own), f"seed={seed}"))
        for seed in range(seeds)
    ]


def given(own: Sequence[str]) -> list[str]:
    """The words of this command line that every trial gets too: all but those of the task and of the `own` nodes of it.

    Raises:
        UserError: one would give all runs the same folder.
    """
    words = HydraConfig.get().overrides.task
    if any(field_of(word) == "run_name" for word in words):
        raise UserError("run_name is each run's own: leave it out.")
    dropped = {"task", "launcher", "hydra", *own}
    return [word for word in words if field_of(word).partition(".")[0] not in dropped]


def field_of(word: str) -> str:
    """The dotted name of what an override sets."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def grouped(cfg: DictConfig, name: str) -> list[str]:
    """The word that gives runs their group in W&B; none where they do not log there, or the user has named one."""
    return [f"logger.wandb.group={name}"] if "wandb" in cfg.logger and cfg.logger.wandb.group is None else []
