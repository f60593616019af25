"""`--help`: the tasks, the groups with their choices, and how to see and set fields; with task=NAME, that task's
fields.
"""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from eaglebench.config.command_line import check_choices, parse_override, read_search_path, split_arguments, task_fields
from eaglebench.config.compose import CONF, group_file, groups, options
from eaglebench.config.messages import written
from eaglebench.utils.errors import UserError

WIDTH = 100
HIDDEN = ("defaults", "task", "presets", "hydra", "run_name")
LISTS = ("experts", "stages", "logger")


def help_text(arguments: Sequence[str]) -> str:
    """The help that the arguments ask for: of the task that they name, or of the whole command line.

    Raises:
        UserError: there is no such task.
    """
    search_path = read_search_path(arguments)
    given = [parse_override(one) for one, is_override in split_arguments(arguments) if is_override and "=" in one]
    tasks = [override for override in given if override.key_or_group == "task"]
    if not tasks:
        return overview(search_path)
    check_choices(tasks[-1], search_path)
    chosen = {override.key_or_group: str(override.value()) for override in given if not override.is_sweep_override()}
    return help_of_task(str(tasks[-1].value()), chosen, search_path)


def overview(search_path: Sequence[str] = ()) -> str:
    """What a task is and the tasks, the groups and their choices, how to see fields."""
    tasks = [(f"task={name}", first_comment(group_file("task", name, search_path))) for name in _tasks(search_path)]
    choices = []
    for group in groups(search_path):
        if group == "task":
            continue
        shown = f"{group}=[...]" if group in LISTS else f"{group}="
        choices.append((shown, ", ".join(options(group, search_path))))
    return "\n".join(
        [
            "eaglebench: which vision encoders, fused how, trained in which stages, and how sure are we?",
            "",
            "usage: python -m eaglebench [task=NAME] [GROUP=CHOICE ...] [FIELD=VALUE ...]",
            "",
            "A task is what the command does; without one, it trains. task=NAME --help shows its fields.",
            *_columns(tasks),
            "",
            "Groups, and what can be chosen; lists are quoted: 'experts=[clip,sam]'.",
            *_columns(choices),
            "",
            "Fields: every field of the configuration is an override, as in experts.clip.image_size=96 or seed=1.",
            *_columns(
                [
                    ("--cfg job", "print the configuration that would run (a part: --cfg job --package experts)"),
                    ("fast=true", "a smoke test of the whole command in seconds"),
                    ("debug=true", "mistakes show their traceback"),
                    ("-m", "one run for each value: -m fusion=channel_concat,sva seed=0,1,2"),
                    ("--config-dir DIR", "take experts, fusions and other choices from a folder of your own, too"),
                ]
            ),
        ]
    )


def help_of_task(task: str, chosen: dict[str, str], search_path: Sequence[str] = ()) -> str:
    """What a task does, and its own fields with their comments, as its files in conf/ have them."""
    path = group_file("task", task, search_path)
    lines = [f"task={task}: {first_comment(path)}"]
    own = task_fields(tuple(search_path))[task]
    if task == "train":
        lines += [
            "",
            "Its fields are those of conf/config.yaml, and of the groups that are chosen:",
            "",
            *_fields(CONF / "config.yaml"),
        ]
    else:
        fields = _fields(path)
        grouped = own & set(groups(search_path))
        lines += ["", *fields] if fields else [] if grouped else ["It has no fields of its own."]
    for group in sorted(own & set(groups(search_path))):
        default = _default_choice(path, group)
        name = chosen.get(group, default)
        lines += ["", f"{group}=: {', '.join(options(group, search_path))}"]
        if name is not None:
            lines += [
                f"Fields of {group}={name}, as in {group}.FIELD=VALUE:",
                "",
                *_fields(group_file(group, name, search_path), group),
            ]
    lines += ["", f"The whole configuration: python -m eaglebench task={task} --cfg job"]
    return "\n".join(lines)


def first_comment(path: Path) -> str:
    """The first comment of a YAML file that is no directive: what it is, in a line."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.lstrip("# ").rstrip()
    return ""


def _tasks(search_path: Sequence[str]) -> list[str]:
    first = ("train", "eval", "predict", "compare", "select", "sweep", "report")
    return sorted(options("task", search_path), key=lambda name: (first.index(name) if name in first else 99, name))


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows) + 4
    found = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, WIDTH - width) or [""]
        found += [f"  {left:<{width - 2}}{wrapped[0]}", *(" " * width + line for line in wrapped[1:])]
    return found


def _fields(path: Path, group: str | None = None) -> list[str]:
    """The lines of a YAML that set fields, with their comments, after those of the shared file that it begins with.

    Left out are its defaults list, `task`, `presets`, `hydra` and targets. Of a `group`, its fields alone, without the
    name of the group.
    """
    found = [line for shared in _shared_files(path) for line in _fields(shared)]
    text = path.read_text(encoding="utf-8")
    nested = group is not None and f"\n{group}:\n" in text
    key = ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            key = line.partition(":")[0]
            if key in HIDDEN and found and found[-1].startswith("  #"):
                found.pop()  # the comment of what is left out
        is_field = key == group and line.startswith("  ") if nested else key not in HIDDEN or line.startswith("#")
        left_out = ("_target_", "pretext:", "# @package", first_comment(path))
        if is_field and not any(one in line for one in left_out):
            shown = f"  {_usual_values(line.removeprefix('  ') if nested else line)}".rstrip()
            field = shown.partition(":")[0]
            found = [earlier for earlier in found if ":" not in shown or earlier.partition(":")[0] != field] + [shown]
    return _without_double_blanks(found)


def _usual_values(line: str) -> str:
    """A line with what its interpolations give without `fast=true`, at the tiny size."""
    line = re.sub(r'"?\$\{fast:([^,}]+),[^}]+\}"?', r"\1", line)
    config = OmegaConf.load(CONF / "config.yaml")
    assert isinstance(config, DictConfig)
    presets = OmegaConf.to_container(OmegaConf.masked_copy(config, "presets"), resolve=False)
    for expression in re.findall(r"\$\{presets\.[^}]*\$\{size\}[^}]*\}", line):
        path = expression[2:-1].replace("${size}", "tiny")
        value: Any = presets
        for name in path.split("."):
            value = value[name]
        line = line.replace(expression, _usual_values(written(value)))
    return line


def _without_double_blanks(lines: list[str]) -> list[str]:
    text = "\n".join(lines).strip("\n")
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.split("\n") if text else []


def _shared_files(path: Path) -> list[Path]:
    """The files of conf/defaults/ that a YAML begins with."""
    entries = [line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines()]
    names = [entry.partition("@")[0].removeprefix("/defaults/") for entry in entries if entry.startswith("/defaults/")]
    return [CONF / "defaults" / f"{name}.yaml" for name in names]


def _default_choice(path: Path, group: str) -> str | None:
    for line in path.read_text(encoding="utf-8").splitlines():
        entry, _, value = line.partition("#")[0].strip().removeprefix("- ").partition(":")
        if entry.strip("/") == group:
            return None if value.strip() in ("", "null") else value.strip()
    raise UserError(f"{path} has no default for {group}.")
