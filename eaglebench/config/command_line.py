"""The command line before Hydra reads it: quoting, choices of groups, fields that belong to another task; and what
Hydra's errors mean.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from eaglebench.config.compose import folders as config_folders
from eaglebench.config.compose import groups, hydra_initialized, open_field, options, search_path_override
from eaglebench.config.messages import join_choices, namesakes, nearest, not_set, unknown
from eaglebench.config.read import UNTYPED
from eaglebench.utils.errors import UserError

WITH_VALUE = (
    "--config-dir",
    "-cd",
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--package",
    "-p",
    "--info",
    "-i",
    "--cfg",
    "-c",
)


def prepare_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments of the command line as Hydra takes them.

    Raises:
        UserError: an override cannot be read, names a choice that there is not, or belongs to another task.
    """
    search_path = read_search_path(arguments)
    prepared = [open_field(one) if is_override else one for one, is_override in split_arguments(arguments)]
    overrides = [parse_override(one) for one, is_override in split_arguments(prepared) if is_override]
    known_groups = groups(search_path)
    for override in overrides:
        if override.key_or_group in known_groups:
            check_choices(override, search_path)
    check_task_fields(overrides, search_path)
    # Flags first: Hydra's parser wants all overrides in one piece.
    return [one for one, _ in sorted(split_arguments(prepared), key=lambda pair: pair[1])]


def split_arguments(arguments: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each argument, and whether it is an override (and no flag, nor the value of one)."""
    value_follows = False
    for one in arguments:
        is_flag = one.startswith("-") and not one.startswith("-=")
        yield one, not is_flag and not value_follows
        value_follows = one in WITH_VALUE


def read_search_path(arguments: Sequence[str]) -> list[str]:
    """Where Hydra will look for configs beside conf/: `--config-dir` and `hydra.searchpath`.

    Raises:
        UserError: the folder does not exist.
    """
    found: list[str] = []
    for index, one in enumerate(arguments):
        flag, separator, value = one.partition("=")
        if flag in ("--config-dir", "-cd"):
            folder = value if separator else next(iter(arguments[index + 1 :]), "")
            if not Path(folder).is_dir():
                raise UserError(
                    f"--config-dir {folder} is no folder: give one that holds experts/, fusion/ or other groups."
                )
            found.append(f"file://{Path(folder).resolve()}")
        elif flag.lstrip("+") == "hydra.searchpath":
            places = parse_override(one).value()
            found += [str(place) for place in places] if isinstance(places, (list, ListConfig)) else [str(places)]
    return found


def parse_override(argument: str) -> Override:
    """One override.

    Raises:
        UserError: it cannot be read; the sentence has the quoting that works for it.
    """
    try:
        return OverridesParser.create().parse_override(argument)
    except (OverrideParseException, HydraException) as error:
        raise UserError(explain_quoting(argument)) from error


def explain_quoting(argument: str) -> str:
    """How an override that cannot be parsed is to be written."""
    key, separator, value = argument.partition("=")
    if not separator:
        if re.fullmatch(r"[\w.@/+~]+", argument):
            return f"{argument} has no value: write {argument}=VALUE."
        return (
            f"{argument!r} is no override: write FIELD=VALUE, and quote what holds spaces or brackets, as in "
            "'experts=[clip,sam]'."
        )
    if value.count("[") > value.count("]") or value.count("{") > value.count("}"):
        closing = "]" if value.count("[") > value.count("]") else "}"
        example = f"'{key}=[clip,sam]'" if closing == "]" else f"'{key}={{NAME: VALUE}}'"
        return f"{argument} lacks its {closing}: the shell cuts at spaces; put quotes around it, as in {example}."
    for quote in ('"', "'"):
        candidate = f"{key}={quote}{value.replace(quote, chr(92) + quote)}{quote}"
        try:
            parsed = OverridesParser.create().parse_override(candidate)
        except HydraException:
            continue
        if parsed.value() == value:
            return f"{argument} cannot be read: quote the value within the argument, {shlex.quote(candidate)}."
    return f"{argument} cannot be read: quote the value within the argument, '{key}=\"...\"'."


def check_choices(override: Override, search_path: Sequence[str]) -> None:
    """Refuse choices of a group that there are not, or that are there twice.

    Raises:
        UserError: it names the choices.
    """
    group = override.key_or_group
    if override.is_add() or override.is_force_add():
        raise UserError(f"+{group}=... would be added to the default choice and lost: write {group}=... without the +.")
    if override.is_sweep_override() or override.is_delete():
        return
    value = override.value()
    names = [str(name) for name in value] if isinstance(value, (list, ListConfig)) else [str(value)]
    known = options(group, search_path)
    for name in names:
        if name not in known and value is not None:
            near = nearest(name, known)
            hint = f"did you mean {join_choices(near)}? Choose" if near else "choose"
            raise UserError(f"{group}={name} is unknown: {hint} from {', '.join(known)}.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{group} names {', '.join(repeated)} twice: each may appear once.")


def check_task_fields(overrides: Sequence[Override], search_path: Sequence[str]) -> None:
    """Refuse the fields of other tasks than the command's, which would do nothing.

    Raises:
        UserError: it names the tasks that take the field.
    """
    chosen = [str(one.value()) for one in overrides if one.key_or_group == "task" and not one.is_sweep_override()]
    task = chosen[-1] if chosen else "train"
    for override in overrides:
        top = override.key_or_group.partition(".")[0]
        takers = [name for name, fields in task_fields(tuple(search_path)).items() if top in fields]
        if takers and task not in takers:
            tasks = join_choices([f"task={name}" for name in takers])
            raise UserError(f"{override.key_or_group} belongs to {tasks}: add that, or leave {top} out of task={task}.")


@cache
def task_fields(search_path: tuple[str, ...] = ()) -> Mapping[str, frozenset[str]]:
    """The top-level fields and groups that are each task's own."""
    found = {}
    for folder in config_folders(search_path):
        for path in sorted((folder / "task").glob("*.yaml")):
            config = OmegaConf.load(path)
            assert isinstance(config, DictConfig)
            nested = [str(key).strip("/") for entry in config.get("defaults", ()) for key in entry]
            found[path.stem] = frozenset({str(key) for key in config} - {"task", "defaults"} | set(nested))
    return found


def explain(error: BaseException, arguments: Sequence[str]) -> str:
    """One sentence for an error of Hydra or OmegaConf."""
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if found := re.search(r"Could not override '([^']+)'", text):
        return explain_unknown(found[1], arguments)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        known = options(group, read_search_path(arguments))
        return (
            f"{group}={name} is unknown: choose from {', '.join(known)}."
            if known
            else f"{error.missing_cfg_file} is no config."
        )
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return (
            f"{found[1]} has several values: add -m to run each; a list is written in brackets, 'experts=[clip,sam]'."
        )
    if found := re.search(r"Interpolation key '([^']+)' not found.*full_key: (\S+)", text):
        return f"there is no {found[1]}, which {found[2]} refers to: leave it where it is, or set {found[2]} too."
    # Hydra resolves the run folder's name, and with it all fields, before the job can look for what is not set.
    if found := re.search(r"Missing mandatory value: (\S+)", text):
        return not_set(found[1])
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        lines.append(str(cause).splitlines()[0])
    return " ".join(lines[:2])


def explain_unknown(path: str, arguments: Sequence[str]) -> str:
    """The sentence about a field that the composed configuration does not have: the nearest, or those of that name
    elsewhere.
    """
    fields = known_fields(arguments)
    parent = path.rpartition(".")[0]
    elsewhere = namesakes(path, fields)
    if elsewhere and (not parent or not any(field.startswith(f"{parent}.") for field in fields)):
        return elsewhere
    siblings = {field[len(parent) + 1 :].partition(".")[0] for field in fields if field.startswith(f"{parent}.")}
    return unknown(path, siblings if parent else {field.partition(".")[0] for field in fields})


def known_fields(arguments: Sequence[str]) -> list[str]:
    """The dotted paths of all fields that the chosen groups have."""
    search_path = read_search_path(arguments)
    known_groups = groups(search_path)
    overrides = [one for one, is_override in split_arguments(arguments) if is_override]
    choices = [one for one in overrides if one.partition("=")[0] in known_groups]
    with hydra_initialized():
        cfg = compose("config", [*choices, *search_path_override(search_path)])
    return list(_paths({key: value for key, value in _plain(cfg).items() if key not in UNTYPED}))


def _plain(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _paths(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{name}.")
