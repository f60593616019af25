"""Where the configuration lives, its resolvers, and the one validation of a composed config. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from eaglebench.utils.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
# Beside the package in a checkout, inside it in a wheel.
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if (folder / "config.yaml").is_file())

# What each task calls with the config, by the name that `task` has.
TASKS = {
    "train": "eaglebench.tasks.train.launch",
    "eval": "eaglebench.tasks.eval.evaluate_run",
    "predict": "eaglebench.tasks.predict.predict",
    "compare": "eaglebench.tasks.compare.compare",
    "select": "eaglebench.tasks.select.select",
    "sweep": "eaglebench.tasks.sweep.sweep",
    "report": "eaglebench.tasks.report.report",
    "pretrain": "eaglebench.tasks.pretrain.pretrain",
    "bench": "eaglebench.tasks.bench.bench",
    "store": "eaglebench.tasks.store.store",
    "plan": "eaglebench.tasks.plan.plan",
    "convert": "eaglebench.tasks.convert.convert",
}


def options(group: str) -> list[str]:
    """What can be chosen for a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def validate_overrides(arguments: Sequence[str]) -> None:
    """Refuse unknown and repeated names of groups, which the composition would report badly or not at all.

    Raises:
        UserError: it names the choices.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [word for word in arguments if "=" in word and not word.startswith("-")]
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    for override in OverridesParser.create().parse_overrides(words):
        group = override.key_or_group
        if group in groups and (override.is_add() or override.is_force_add()):
            raise UserError(
                f"+{group}=... would be added to the default choice and lost: write {group}=... without the +."
            )
        if group not in groups or override.is_sweep_override() or override.is_delete():
            continue
        value = override.value()
        names = [str(name) for name in value] if isinstance(value, (list, ListConfig)) else [str(value)]
        known = options(group)
        for name in names:
            if name not in known:
                raise UserError(f"{group}={name} is unknown: choose from {', '.join(known)}.")
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise UserError(f"{group} names {', '.join(sorted(repeated))} twice: each may appear once.")


# What a finished run can be evaluated with again; the rest made its model.
CHANGEABLE = ("data", "evaluation", "trainer", "store")

OF_THE_COMMAND = ("task", "run", "image", "prompt", "debug", "hydra")


def take_overrides(run: DictConfig, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Copy into `run` what the command line set in `cfg`; refuse what made the model."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        top = key.split(".")[0]
        if top in CHANGEABLE:
            node = OmegaConf.select(cfg, key)
            value = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
            OmegaConf.update(run, key, value, merge=False)
        elif top not in OF_THE_COMMAND:
            raise UserError(
                f"{key} made the model of the finished run and cannot be changed now; "
                f"what can: {', '.join(CHANGEABLE)}."
            )
