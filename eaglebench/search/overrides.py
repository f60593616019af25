"""Overrides of trials: which of a command's overrides are forwarded to its trials, and which a set of experts adds."""

from collections.abc import Collection, Mapping, Sequence

from eaglebench.config.schema import Config
from eaglebench.search.selection import ExpertSet
from eaglebench.search.trials import Trial
from eaglebench.utils.errors import UserError

OF_THE_COMMAND = ("task", "launcher", "hydra")  # config nodes that are no part of a trial


def forwarded_overrides(overrides: Sequence[str], settings: Collection[str]) -> list[str]:
    """The overrides of a command that its trials get too.

    These are all but those of the task, the launcher, Hydra, and the task's own settings.

    Args:
        overrides: of the command line.
        settings: config nodes that only the task itself reads.

    Raises:
        UserError: `run_name` is set, which would give all trials the same folder.
    """
    if any(override_key(override) == "run_name" for override in overrides):
        raise UserError("run_name is each run's own: leave it out.")
    return [override for override in overrides if root_key(override) not in {*OF_THE_COMMAND, *settings}]


def override_key(override: str) -> str:
    """The dotted key that an override sets, as in `experts.clip.lr` of `+experts.clip.lr=1e-3`."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def root_key(override: str) -> str:
    """The first name in the key of an override, as in `experts` of `experts.clip.lr=1e-3`."""
    return override_key(override).partition(".")[0]


def overrides_by_expert(overrides: Sequence[str]) -> dict[str, list[str]]:
    """The overrides below `experts.NAME`, by that name: they go to the trials that have this expert.

    Raises:
        UserError: an override sets the experts or the seed, which the selection sets for each trial.
    """
    found: dict[str, list[str]] = {}
    for override in overrides:
        group, _, rest = override_key(override).partition(".")
        if group == "seed" or (group == "experts" and not rest):
            instead = "select.seeds=N" if group == "seed" else "select.start and select.pool"
            raise UserError(f"{override} is each trial's own here: give {instead}.")
        if group == "experts":
            found.setdefault(rest.partition(".")[0], []).append(override)
    return found


def expert_set_overrides(experts: ExpertSet, by_expert: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The overrides of a set of experts: the list of them, and those of `overrides_by_expert` for each."""
    own = (override for name in experts for override in by_expert.get(name, ()))
    return (f"experts=[{','.join(experts)}]", *own)


def expert_set_trials(experts: ExpertSet, seeds: int, by_expert: Mapping[str, Sequence[str]]) -> list[Trial]:
    """A trial of a set of experts for each of the seeds 0, 1, ..."""
    label = "+".join(experts)
    return [
        Trial(
            f"{label} seed {seed}" if seeds > 1 else label, (*expert_set_overrides(experts, by_expert), f"seed={seed}")
        )
        for seed in range(seeds)
    ]


def wandb_group(config: Config, name: str) -> list[str]:
    """The override that groups trials in W&B; none if they do not log there, or the user has named a group."""
    logger = config.logger.get("wandb")
    return [f"logger.wandb.group={name}"] if logger is not None and logger.arguments.get("group") is None else []
