"""What a configuration may build. It may come from another person, as in a run folder or a recipe, and what `_target_`
names is called with arguments of the same file.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eaglebench.config.messages import set_by_file
from eaglebench.config.signature import find_definition
from eaglebench.utils.errors import UserError

TARGET = "_target_"
# For each group, the modules whose own classes and functions it may name; modules inside them too.
MODULES = {
    "experts": ("eaglebench.experts",),
    "fusion": ("eaglebench.fusion",),
    "llm": ("eaglebench.language",),
    "stages": ("eaglebench.stages", "eaglebench.fusion"),
    "trainer": ("eaglebench.training.strategies",),
    "launcher": ("eaglebench.launchers",),
    "logger": ("eaglebench.integrations.wandb", "lightning.pytorch.loggers"),
    "pretrain": ("eaglebench.zoo",),
    "select": ("eaglebench.search.selection",),
    "bench": ("eaglebench.profiling.bench",),
    "task": ("eaglebench.tasks",),
    # Hydra's own launchers, sweepers and callbacks
    "hydra": ("hydra", "hydra_plugins"),
}
FACTORIES = ("()", "class")  # what the configuration of Python's logging calls
LOGGING = ("logging", "rich.logging", "colorlog")
NO_LOGGING = {"version": 1, "root": None, "disable_existing_loggers": False}  # Hydra's own configuration `none`
# Hydra's settings of which files it writes and which environment it sets, and what they are unless a user says other.
SETTINGS: dict[str, Any] = {
    "run": {"dir": "${output_dir:}"},
    "sweep": {"dir": "results", "subdir": "${run_name}"},
    "output_subdir": None,
    "job.chdir": None,
    "job.env_set": {},
    "job.env_copy": [],
    "job_logging": NO_LOGGING,
    "hydra_logging": NO_LOGGING,
}


def check_targets(config: Mapping[str, Any], plugins: Sequence[str] = ()) -> None:
    """Refuse a configuration that would build anything but parts of eaglebench and of the user's own modules.

    Nothing is imported for it: importing a module runs its code.

    Args:
        config: the configuration as plain data.
        plugins: the modules whose classes the user lets configurations build.

    Raises:
        UserError: it names the field and what the user can declare.
    """
    for path, target in find_targets(config):
        group = path.partition(".")[0]
        module = "" if not isinstance(target, str) else defining_module(target, plugins)
        if not is_inside(module, (*MODULES.get(group, ()), *plugins)):
            raise UserError(
                f"{path}={target} is refused, as configurations can come from anyone: it is no part of eaglebench for "
                f"{group}; if it is your own, declare its module, 'plugins=[MODULE]'."
            )


def check_logging(hydra: Mapping[str, Any]) -> None:
    """Refuse a configuration of Python's logging that would call what is no part of it.

    Args:
        hydra: Hydra's own settings as plain data.

    Raises:
        UserError: it names the field.
    """
    for name in ("job_logging", "hydra_logging"):
        for path, key, value in walk(hydra.get(name) or {}, f"hydra.{name}"):
            if key in FACTORIES and not (isinstance(value, str) and is_inside(value.rpartition(".")[0], LOGGING)):
                raise UserError(f"{path}={value} is not built: give a class of Python's logging.")


def check_settings(hydra: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuse files that say where Hydra writes, and which environment variables it sets: that is for the user alone.

    Args:
        hydra: Hydra's own settings as plain data, interpolations as they are written.
        overrides: of the command line.

    Raises:
        UserError: it names the field.
    """
    said = [override.lstrip("+").replace("hydra/", "hydra.") for override in overrides]
    for name, usual in SETTINGS.items():
        value: Any = hydra
        for key in name.split("."):
            value = value.get(key)
        if value != usual and not any(override.startswith(f"hydra.{name}") for override in said):
            raise UserError(set_by_file(f"hydra.{name}", value))


def find_targets(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every `_target_` at any depth, with its dotted path."""
    return ((path, value) for path, key, value in walk(config) if key == TARGET)


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The path, key and value of every entry at any depth."""
    entries = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        inner = f"{path}.{key}" if path else str(key)
        yield inner, key, value
        yield from walk(value, inner)


def defining_module(target: str, plugins: Sequence[str]) -> str:
    """The module that defines what `MODULE.NAME` names, which may be another than MODULE; empty if there is none that
    can be told.
    """
    module, _, name = target.rpartition(".")
    if is_inside(module, plugins):
        return module
    # The parents of a module are imported with it, so that a foreign one is not even looked for.
    if not is_inside(module, [one for modules in MODULES.values() for one in modules]):
        return ""
    found = find_definition(module, name)
    return found[0] if isinstance(found, tuple) else module if found else ""


def is_inside(module: str, packages: Sequence[str]) -> bool:
    """Whether a module is one of these, or inside one."""
    return any(module == one or module.startswith(f"{one}.") for one in packages)
