"""Reading sweep files of Weights & Biases, and refusing what only W&B's server can run."""

import math
import re
from pathlib import Path
from typing import Any

from eaglebench.config.compose import read_yaml
from eaglebench.search.overrides import root_key
from eaglebench.search.sweep_points import BOUNDED
from eaglebench.utils.errors import UserError, first_line

METHODS = ("grid", "random")
NOT_OF_A_FILE = ("hydra", "plugins", "task", "launcher")  # what decides which code runs, and where
NAME = re.compile(r"\+{0,2}[\w./@-]+")


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
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
        raise UserError(f"{path}: run_cap: {cap} is not a number of runs.")
    for name, parameter in sweep["parameters"].items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(f"{path}: {name!r} is no field: a parameter is named as on the command line.")
        if root_key(name) in NOT_OF_A_FILE:
            raise UserError(
                f"{path}: {name} is not for a sweep file, which can come from anyone: give it to the command."
            )
        if lack := missing_field(parameter):
            raise UserError(f"{path}: {name} {lack}.")
    return dict(sweep)


def wrong_values(values: Any, probabilities: Any) -> str | None:
    """What is wrong with the values of a parameter and how likely each is, as the end of a sentence."""
    if not isinstance(values, list) or not values:
        return "needs a list of values, values: [1, 2]"
    if probabilities is None:
        return None
    numbers = isinstance(probabilities, list) and all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and 0 <= one < math.inf for one in probabilities
    )
    if not numbers or len(probabilities) != len(values) or not any(probabilities):
        return f"needs a probability for each of its {len(values)} values"
    return None


def missing_field(parameter: Any) -> str | None:
    """What a parameter of a sweep file lacks, as the end of a sentence; None if nothing."""
    if not isinstance(parameter, dict) or not {"value", "values", "min", "max", "distribution"} & set(parameter):
        return "needs value, values, or a distribution"
    if "values" in parameter:
        return wrong_values(parameter["values"], parameter.get("probabilities"))
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
