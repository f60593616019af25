"""TODO."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from eaglebench.search.sweep_points import BOUNDED
from eaglebench.utils.errors import UserError, first_line

METHODS = ("grid", "random")


def read(path: Path) -> dict[str, Any]:
    """What a sweep file says.

    Raises:
        UserError: it is none, or one that only W&B can run.
    """
    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"sweep={path} cannot be read: {first_line(error)}") from error
    if not isinstance(found, dict) or not isinstance(found.get("parameters"), dict) or not found["parameters"]:
        raise UserError(f"sweep={path} has no parameters: it must be a sweep file of W&B.")
    if found.get("method") not in METHODS:
        raise UserError(
            f"{path} has method: {found.get('method')}, which asks W&B for the next point: use wandb sweep {path}, or "
            f"one of {', '.join(METHODS)}."
        )
    cap = found.get("run_cap", 1)
    if not isinstance(cap, int) or cap < 1:
        raise UserError(f"{path}: run_cap: {cap} is not a number of runs.")
    for name, parameter in found["parameters"].items():
        if reason := unusable(parameter):
            raise UserError(f"{path}: {name} {reason}.")
    return dict(found)


def unusable(parameter: Any) -> str | None:
    """What a parameter of a sweep file lacks; None if nothing."""
    if not isinstance(parameter, dict) or not {"value", "values", "min", "max", "distribution"} & set(parameter):
        return "needs value, values, or a distribution"
    if "values" in parameter:
        values = parameter["values"]
        return None if isinstance(values, list) and values else "needs a list of values, values: [1, 2]"
    distribution = parameter.get("distribution", "uniform")
    if "value" in parameter or distribution not in BOUNDED:
        return None
    low, high = parameter.get("min"), parameter.get("max")
    kind = int if distribution == "int_uniform" else (int, float)
    if not isinstance(low, kind) or not isinstance(high, kind) or low > high:
        return f"needs two {'whole ' if kind is int else ''}bounds, min: 1 and max: 2"
    if distribution == "log_uniform_values" and low <= 0:
        return "has a logarithm, which needs min above 0"
    return None
