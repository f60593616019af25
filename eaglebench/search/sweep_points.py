"""The points of a sweep file of Weights & Biases, as its agent would run them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from random import Random
from typing import Any

from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import digest, named_seed

Parameters = Mapping[str, Mapping[str, Any]]
Point = dict[str, Any]
PATIENCE = 1000  # random points without a new one
BOUNDED = ("uniform", "int_uniform", "log_uniform_values")
DISTRIBUTIONS = (*BOUNDED, "normal")


def points(sweep: Mapping[str, Any]) -> list[Point]:
    """The points of a sweep, each a value by parameter: the whole grid, or `run_cap` random ones, which are the same every time.

    Raises:
        UserError: there are none, or no end of them.
    """
    parameters, cap = sweep["parameters"], sweep.get("run_cap")
    if sweep["method"] == "random" and cap is None:
        raise UserError("a random sweep has no end by itself: give the file run_cap, the number of runs.")
    found = list(islice(grid(parameters) if sweep["method"] == "grid" else unlike(random_points(parameters)), cap))
    if not found:
        raise UserError("the sweep has no points: give each parameter a value.")
    return found


def grid(parameters: Parameters) -> Iterator[Point]:
    """Every combination of values; the last parameter changes first."""
    for combination in product(*(values_of(name, parameter) for name, parameter in parameters.items())):
        yield dict(zip(parameters, combination, strict=True))


def values_of(name: str, parameter: Mapping[str, Any]) -> Sequence[Any]:
    """The values of a parameter of a grid."""
    if "value" in parameter:
        return [parameter["value"]]
    if "values" in parameter:
        return list(parameter["values"])
    if distribution_of(parameter) == "int_uniform":
        return range(parameter["min"], parameter["max"] + 1)
    raise UserError(f"{name} has no end of values: give it values in a grid, or use method: random.")


def random_points(parameters: Parameters) -> Iterator[Point]:
    """Points drawn from the distributions, with a seed that is their own."""
    chance = Random(named_seed(0, digest(parameters, 16)))
    while True:
        yield {name: drawn(chance, name, parameter) for name, parameter in parameters.items()}


def unlike(found: Iterator[Point]) -> Iterator[Point]:
    """The points without repetitions, until there seem to be no others."""
    seen: set[str] = set()
    repeated = 0
    for point in found:
        name = digest(point, 16)
        repeated = repeated + 1 if name in seen else 0
        if repeated > PATIENCE:
            return
        if not repeated:
            seen.add(name)
            yield point


def drawn(chance: Random, name: str, parameter: Mapping[str, Any]) -> Any:
    """A random value of a parameter."""
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return chance.choices(parameter["values"], parameter.get("probabilities"))[0]
    distribution = distribution_of(parameter)
    if distribution == "normal":
        return chance.gauss(parameter.get("mu", 0.0), parameter.get("sigma", 1.0))
    if distribution not in DISTRIBUTIONS or "max" not in parameter:
        raise UserError(
            f"{name}: distribution {distribution} is W&B's alone: use wandb sweep, or one of {', '.join(DISTRIBUTIONS)} with its bounds."
        )
    low, high = parameter["min"], parameter["max"]
    if distribution == "int_uniform":
        return chance.randint(low, high)
    if distribution == "uniform":
        return chance.uniform(low, high)
    return math.exp(chance.uniform(math.log(low), math.log(high)))


def distribution_of(parameter: Mapping[str, Any]) -> str:
    """The distribution of a parameter with bounds, which W&B guesses from them where it is not named."""
    whole = all(isinstance(parameter.get(bound), int) for bound in ("min", "max"))
    return str(parameter.get("distribution", "int_uniform" if whole else "uniform"))


def words(point: Point) -> tuple[str, ...]:
    """The words of the command line that W&B's agent makes of a point (`${args_no_hyphens}`)."""
    return tuple(f"{name}={value}" for name, value in point.items())
