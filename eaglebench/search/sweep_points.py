"""The points of a sweep file of Weights & Biases, as W&B's agent would run them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any

from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import hash_json, named_seed

Parameters = Mapping[str, Mapping[str, Any]]
Point = dict[str, Any]  # a value by parameter
MAX_POINTS = 100_000  # runs of one sweep
MAX_REPEATS = 1000  # random points in a row without a new one, after which there seem to be no others
BOUNDED = ("uniform", "int_uniform", "log_uniform_values")
DISTRIBUTIONS = (*BOUNDED, "normal")


def list_points(sweep: Mapping[str, Any]) -> list[Point]:
    """The points of a sweep: the whole grid, or its first `run_cap` points; or as many random ones, which are the same
    every time.

    Raises:
        UserError: there are none, infinitely many, or more than MAX_POINTS.
    """
    parameters, cap = sweep["parameters"], sweep.get("run_cap")
    if sweep["method"] == "random" and cap is None:
        raise UserError("a random sweep has no end by itself: give the file run_cap, the number of runs.")
    points: Iterator[Point]
    count: int
    if sweep["method"] == "grid":
        values = {name: grid_values(name, parameter) for name, parameter in parameters.items()}
        points, count = grid_points(values), math.prod(map(count_values, values.values()))
    else:
        points, count = distinct_points(random_points(parameters)), int(sweep["run_cap"])
    if (wanted := min(count, cap or count)) > MAX_POINTS:
        raise UserError(f"the sweep has {wanted:,} points, more than {MAX_POINTS:,}: give fewer values, or a run_cap.")
    found = list(islice(points, cap))
    if not found:
        raise UserError("the sweep has no points: give each parameter a value.")
    return found


def grid_points(values: Mapping[str, Sequence[Any]]) -> Iterator[Point]:
    """Every combination of values; the last parameter changes first.

    Ranges are never written out, as `itertools.product` would: one may have a billion values.
    """
    for index in range(math.prod(map(count_values, values.values()))):
        point: Point = {}
        for name in reversed(list(values)):
            index, position = divmod(index, count_values(values[name]))
            point[name] = values[name][position]
        yield {name: point[name] for name in values}


def count_values(values: Sequence[Any]) -> int:
    """How many values there are; `len` of a range ends at the size of an address."""
    return values.stop - values.start if isinstance(values, range) else len(values)


def grid_values(name: str, parameter: Mapping[str, Any]) -> Sequence[Any]:
    """The values of a parameter of a grid.

    Raises:
        UserError: there are infinitely many.
    """
    if "value" in parameter:
        return [parameter["value"]]
    if "values" in parameter:
        return list(parameter["values"])
    if distribution_name(parameter) == "int_uniform":
        return range(parameter["min"], parameter["max"] + 1)
    raise UserError(f"{name} has infinitely many values: give it values in a grid, or use method: random.")


def random_points(parameters: Parameters) -> Iterator[Point]:
    """Points drawn from the distributions without end; the seed is the hash of the parameters.

    Raises:
        UserError: a distribution is one that only W&B draws from.
    """
    rng = Random(named_seed(0, hash_json(parameters, 16)))
    while True:
        yield {name: draw_value(rng, name, parameter) for name, parameter in parameters.items()}


def distinct_points(points: Iterator[Point]) -> Iterator[Point]:
    """The points without repetitions; ends after MAX_REPEATS repetitions in a row."""
    seen: set[str] = set()
    repeats = 0
    for point in points:
        key = hash_json(point, 16)
        repeats = repeats + 1 if key in seen else 0
        if repeats > MAX_REPEATS:
            return
        if not repeats:
            seen.add(key)
            yield point


def draw_value(rng: Random, name: str, parameter: Mapping[str, Any]) -> Any:
    """A random value of a parameter.

    Raises:
        UserError: its distribution is one that only W&B draws from.
    """
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return rng.choices(parameter["values"], parameter.get("probabilities"))[0]
    distribution = distribution_name(parameter)
    if distribution == "normal":
        return rng.gauss(parameter.get("mu", 0.0), parameter.get("sigma", 1.0))
    if distribution not in DISTRIBUTIONS or "max" not in parameter:
        known = ", ".join(DISTRIBUTIONS)
        raise UserError(
            f"{name}: distribution {distribution} is W&B's alone: use wandb sweep, or one of {known} with its bounds."
        )
    low, high = parameter["min"], parameter["max"]
    if distribution == "int_uniform":
        return rng.randint(low, high)
    if distribution == "uniform":
        return rng.uniform(low, high)
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def distribution_name(parameter: Mapping[str, Any]) -> str:
    """The distribution of a parameter with bounds; where none is named, the one that W&B takes for such bounds."""
    whole = all(isinstance(parameter.get(bound), int) for bound in ("min", "max"))
    return str(parameter.get("distribution", "int_uniform" if whole else "uniform"))


def point_overrides(point: Point) -> tuple[str, ...]:
    """The overrides that W&B's agent makes of a point (`${args_no_hyphens}`), but for null, which it writes as the
    text None.
    """
    return tuple(f"{name}={'null' if value is None else value}" for name, value in point.items())
