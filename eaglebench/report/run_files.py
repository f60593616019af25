"""Readers of the files of a run folder, whatever state they are in."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import yaml
from safetensors import SafetensorError, safe_open

from eaglebench.report.settings import OVERALL
from eaglebench.runs import BLIND

CURVE_POINTS = 100  # most points of a curve
READ_ERRORS = (ValueError, OSError, csv.Error, yaml.YAMLError, RecursionError)  # what damaged files raise
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, if it is there, is ten times as fast


def read_config(path: Path) -> dict[str, Any]:
    """The fields of a resolved config as plain Python.

    Raises:
        ValueError, yaml.YAMLError: the file is damaged or has no fields.
        OSError: the file cannot be opened.
    """
    value = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    if not isinstance(value, dict):
        raise ValueError("it has no fields")
    return {str(name): node for name, node in value.items()}


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        ValueError: the file is damaged or holds no object.
        OSError: the file cannot be opened.
    """
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    return value


def read_scores(path: Path) -> dict[str, Any]:
    """The scores of a `scores.json`, with numbers wherever tables and plots need them.

    Raises:
        ValueError: the file is damaged, or an entry has no score or no number where one belongs.
        OSError: the file cannot be opened.
    """
    scores = read_json(path)
    families = scores.get("families")
    if not isinstance(families, dict) or not families:
        raise ValueError("it has no families")
    for name, row in {OVERALL: scores.get(OVERALL), **families}.items():
        if not isinstance(row, dict) or not is_number(row.get("score")):
            raise ValueError(f"{name} has no score")
        if not all(0 <= row.get(key, 0) <= 1 for key in ("score", "blind") if is_number(row.get(key, 0))):
            raise ValueError(f"{name} has a score that is not between 0 and 1")
        if wrong := [key for key in ("low", "high", "stderr", "blind", "n") if not is_number(row.get(key, 0))]:
            raise ValueError(f"{name}.{wrong[0]} is not a number")
    return scores


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite int or float, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def count_parameters(path: Path) -> int | None:
    """The number of parameters in a safetensors file, from its header; None without a readable file."""
    try:
        with safe_open(path, "numpy") as weights:
            shapes: list[list[int]] = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118
            return sum(map(math.prod, shapes))
    except (OSError, SafetensorError):
        return None


def sum_training_seconds(manifest: Mapping[str, Any] | None) -> float | None:
    """The seconds that all stages trained but the no-image baseline, which runs share; None if one is unknown."""
    stages = (manifest or {}).get("stages")
    if not isinstance(stages, list):
        return None
    values = [stage.get("seconds") for stage in stages if isinstance(stage, dict) and stage.get("label") != BLIND]
    known = [seconds for seconds in values if is_number(seconds)]
    return round(sum(known), 1) if known and len(known) == len(values) else None


def read_curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves of a `metrics.csv` by name, as steps and values; final scores are left out.

    Longer curves are averaged to CURVE_POINTS points.

    Raises:
        ValueError, OSError, csv.Error: the file is damaged.
    """
    curves: dict[str, dict[int, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if not name or not text or name in ("step", "epoch") or name.startswith("eval/"):
                    continue
                if math.isfinite(value := float(text)):
                    curves.setdefault(name, {})[int(row["step"])] = value  # the last value if a step is logged twice
    return {name: thin_curve(sorted(points.items())) for name, points in sorted(curves.items())}


def thin_curve(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most CURVE_POINTS points: the last step and the mean value of each group of neighbours."""
    size = -(-len(points) // CURVE_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size or 1)]
    return [(group[-1][0], float(f"{sum(v for _, v in group) / len(group):.4g}")) for group in groups]


def read_selection(path: Path) -> list[dict[str, Any]]:
    """The rounds of a `selection.json`, with the candidates that have a score; empty if the file is damaged."""
    try:
        rounds = read_json(path)["rounds"]
        return [
            {
                "round": int(each["round"]),
                "kept": [str(name) for name in each["kept"]],
                "candidates": [
                    {**candidate, "experts": [str(name) for name in candidate["experts"]]}
                    for candidate in each["candidates"]
                    if is_number(candidate["score"])
                ],
            }
            for each in rounds
        ]
    except (*READ_ERRORS, KeyError, TypeError, AttributeError):
        return []
