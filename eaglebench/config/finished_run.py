"""The configuration of a finished run, with what a later command may change of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from eaglebench.config.compose import Command
from eaglebench.config.read import read_config
from eaglebench.config.schema import Config
from eaglebench.runs import check_run_folder, read_run_config
from eaglebench.utils.errors import UserError

# What a finished run can be evaluated with again; the rest made its model.
CHANGEABLE = ("data", "evaluation", "trainer", "store")
OF_THE_COMMAND = ("task", "run", "image", "prompt", "debug", "fast", "hydra")


def run_folder(command: Command) -> Path:
    """The folder of the finished run that a command is about.

    Raises:
        UserError: it is not the folder of a finished run.
    """
    assert command.config.run is not None
    folder = Path(command.config.run)
    check_run_folder(folder)
    return folder


def config_of_run(command: Command) -> Config:
    """The configuration of the finished run that a command is about, with the fields that the command sets.

    Raises:
        UserError: the folder is not that of a finished run, or the command sets a field that made the model.
    """
    resolved = read_run_config(run_folder(command))
    for override in OverridesParser.create().parse_overrides(list(command.overrides)):
        path = override.key_or_group.split(".")
        if path[0] in CHANGEABLE:
            copy_field(command.resolved, resolved, path)
        elif path[0] not in OF_THE_COMMAND:
            raise UserError(
                f"{override.key_or_group} made the model of the finished run and cannot be changed now; "
                f"what can: {', '.join(CHANGEABLE)}."
            )
    return read_config({**resolved, "fast": command.config.fast})


def copy_field(source: Mapping[str, Any], target: dict[str, Any], path: list[str]) -> None:
    """Set a field in `target` to what it is in `source`; what `source` does not have is removed."""
    *parents, name = path
    for parent in parents:
        source, target = source.get(parent) or {}, target.setdefault(parent, {})
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)
