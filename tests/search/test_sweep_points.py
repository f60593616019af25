"""The points of a sweep are those that W&B would run, and become the same overrides."""

from itertools import islice
from typing import Any

import pytest

import sweeps
from eaglebench.search.sweep_points import list_points, point_overrides, random_points
from eaglebench.utils.errors import UserError

GRID: dict[str, Any] = {
    "fusion": {"values": ["channel_concat", "mova"]},
    "experts": {"values": ["[clip]", "[clip,sam]"]},
    "seed": {"min": 0, "max": 2},
    "size": {"value": "tiny"},
}
DISTRIBUTIONS: dict[str, Any] = {
    "fusion": {"values": ["channel_concat", "mova"], "probabilities": [0.0, 1.0]},
    "seed": {"min": 3, "max": 5},
    "size": {"value": "tiny"},
    "rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
    "decay": {"min": 0.0, "max": 0.5},
    "shift": {"distribution": "normal", "mu": 10, "sigma": 0.1},
}


def test_a_grid_has_the_points_of_wandbs_own_search() -> None:
    runs, theirs = [], []
    while (run := sweeps.next_run({"method": "grid", "parameters": GRID}, runs)) is not None:
        runs.append(run)
        theirs.append({name: value["value"] for name, value in run.config.items()})
    ours = list_points({"method": "grid", "parameters": GRID})
    assert len(ours) == 12
    assert sorted(map(str, map(sorted, (point.items() for point in ours)))) == sorted(
        map(str, map(sorted, (point.items() for point in theirs)))
    )


def test_the_last_parameter_of_a_grid_changes_first() -> None:
    found = list_points(
        {"method": "grid", "parameters": {"a": {"values": [1, 2]}, "b": {"values": [3, 4]}}, "run_cap": 3}
    )
    assert found == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}]


def test_the_overrides_are_those_of_wandbs_agent() -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args  # takes six seconds to import

    point = {"experts": "[clip,sam]", "seed": 3, "rate": 1e-05, "experts.clip.frozen": True, "fusion.grid": "null"}
    args = {name: {"value": value} for name, value in point.items()}
    assert list(point_overrides(point)) == create_sweep_command_args({"args": args})["args_no_hyphens"]


def test_random_points_are_the_same_every_time_and_keep_to_their_bounds() -> None:
    sweep = {"method": "random", "parameters": DISTRIBUTIONS, "run_cap": 40}
    found = list_points(sweep)
    assert list_points({**sweep, "run_cap": 10}) == found[:10]
    assert {point["seed"] for point in found} == {3, 4, 5}
    assert {(point["fusion"], point["size"]) for point in found} == {("mova", "tiny")}
    assert all(0 <= point["decay"] <= 0.5 and 9 < point["shift"] < 11 for point in found)
    rates = sorted(point["rate"] for point in found)
    assert rates[0] >= 1e-4 and rates[-1] <= 1e-2
    assert 5e-4 < rates[20] < 2e-3  # the middle of the exponents, not of the rates
    assert len({point["rate"] for point in islice(random_points(DISTRIBUTIONS), 100)}) == 100


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"method": "random", "parameters": DISTRIBUTIONS}, "give the file run_cap"),
        (
            {"method": "grid", "parameters": {"rate": {"min": 0.1, "max": 0.5}}},
            "rate has infinitely many values: give it values in a grid",
        ),
        ({"method": "grid", "parameters": {"rate": {"values": []}}}, "the sweep has no points"),
        (
            {"method": "random", "run_cap": 1, "parameters": {"rate": {"distribution": "beta", "a": 1, "b": 2}}},
            "rate: distribution beta is W&B's alone",
        ),
    ],
)
def test_what_has_no_points_or_no_end_is_refused(sweep: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        list_points(sweep)
    assert message in str(caught.value)


def test_random_points_are_not_repeated() -> None:
    sweep = {"method": "random", "run_cap": 9, "parameters": {"seed": {"values": [0, 1, 2]}}}
    assert sorted(point["seed"] for point in list_points(sweep)) == [0, 1, 2]
