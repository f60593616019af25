"""The configuration of a finished run, with what a later command may change of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from eaglebench.config.compose import Command
from eaglebench.config.identity import run_identity
from eaglebench.config.inputs import input_fingerprints
from eaglebench.config.read import read_config
from eaglebench.config.schema import Config
from eaglebench.runs import INPUTS, MANIFEST, check_run_folder, is_finished, read_run_config
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_json_object
from eaglebench.utils.quoting import list_first

# What a finished run can be evaluated with again; the rest made its model.
CHANGEABLE = ("data", "evaluation", "trainer", "store")
NAMED = 3  # fields or files that a sentence names
OF_THE_COMMAND = ("task", "run", "image", "prompt", "debug", "fast", "hydra", "plugins")


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
    shape = resolved["data"].get("shape", "pad")
    overrides = OverridesParser.create().parse_overrides(list(command.overrides))
    for override in overrides:
        path = override.key_or_group.split(".")
        if path[0] in CHANGEABLE:
            copy_field(command.resolved, resolved, path)
        elif path[0] not in OF_THE_COMMAND:
            raise UserError(
                f"{override.key_or_group} made the model of the finished run and cannot be changed now; "
                f"what can: {', '.join(CHANGEABLE)}."
            )
    if "data.shape" not in [override.key_or_group for override in overrides]:
        resolved["data"]["shape"] = shape  # the model learned from such squares, whatever other data it is asked about
    return read_config({**resolved, "fast": command.config.fast}, command.config.plugins)


def is_done(command: Command) -> bool:
    """Whether the run of a command is finished, so that nothing is left to train; False with `rerun=true`.

    Raises:
        UserError: the folder holds another finished run, or files that it read have changed.
    """
    folder = command.folder
    if command.config.rerun or not is_finished(folder):
        return False
    replace = "rerun=true trains it anew and replaces it"
    try:
        before = run_identity(read_run_config(folder))
    except UserError as error:
        raise UserError(f"{error} Or {replace}.") from error
    now = run_identity(command.resolved)
    if before != now:
        fields = sorted(set(differing_fields(before, now)))
        raise UserError(
            f"{folder} holds a finished run with another {list_first(fields, NAMED)}: give another hydra.run.dir, or "
            f"{replace}."
        )
    read, now_there = (read_json_object(folder / MANIFEST) or {}).get(INPUTS, {}), input_fingerprints(command.config)
    if changed := sorted(name for name in read.keys() | now_there.keys() if read.get(name) != now_there.get(name)):
        raise UserError(f"{folder} is finished, and {', '.join(changed[:NAMED])} changed since: {replace}.")
    return True


def differing_fields(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """The dotted paths of the fields that differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in before.keys() | now.keys():
            yield from differing_fields(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif before != now:
        yield path


def copy_field(source: Mapping[str, Any], target: dict[str, Any], path: list[str]) -> None:
    """Set a field in `target` to what it is in `source`; what `source` does not have is removed."""
    *parents, name = path
    for parent in parents:
        source, target = source.get(parent) or {}, target.setdefault(parent, {})
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)
