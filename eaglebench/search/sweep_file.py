"""Reading sweep files of Weights & Biases, and refusing what only W&B's server can run."""

from pathlib import Path
from typing import Any

from eaglebench.config.compose import read_yaml
from eaglebench.search.sweep_points import BOUNDED
from eaglebench.utils.errors import UserError, first_line

METHODS = ("grid", "random")


def read_sweep(path: Path) -> dict[str, Any]:
    """The contents of a sweep file.

    Raises:
        UserError: it is no sweep file, or one that only W&B can run.
    """
    try:
        sweep: Any = read_yaml(path)
    except (OSError, ValueError) as error:
        raise UserError(f"sweep={path} cannot be read: {first_line(error)}") from error
    if not isinstance(sweep, dict) or not isinstance(sweep.get("parameters"), dict) or not sweep["parameters"]:
        raise UserError(f"sweep={path} has no parameters: it must be a sweep file of W&B.")
    if sweep.get("method") not in METHODS:
        raise UserError(
            f"{path} has method: {sweep.get('method')}, which asks W&B for the next point: use wandb sweep {path}, or "
            f"one of {', '.join(METHODS)}."
        )
    cap = sweep.get("run_cap", 1)
    if not isinstance(cap, int) or cap < 1:
        raise UserError(f"{path}: run_cap: {cap} is not a number of runs.")
    for name, parameter in sweep["parameters"].items():
        if lack := missing_field(parameter):
            raise UserError(f"{path}: {name} {lack}.")
    return dict(sweep)


def missing_field(parameter: Any) -> str | None:
    """What a parameter of a sweep file lacks, as the end of a sentence; None if nothing."""
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
