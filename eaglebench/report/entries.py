"""Run folders as they are found: finished, half-written, damaged, or of another version."""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import yaml
from safetensors import SafetensorError, safe_open

from eaglebench.evaluation.scoring import average_of
from eaglebench.report.settings import OVERALL, Run, setting_of
from eaglebench.runs import ASKED, CONFIG, MANIFEST, MODEL, PREDICTIONS, SCORES
from eaglebench.stages.blind import BLIND
from eaglebench.utils.errors import first_line

CURVE_POINTS = 100
TO_READ = (ValueError, OSError, csv.Error, yaml.YAMLError, RecursionError)  # what a damaged file raises
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it is there


@dataclass(frozen=True)
class Entry:
    """A run folder.

    Attributes:
        config: all its fields; empty if there are none to read.
        setting: what of them may change its result, flattened; empty if it cannot be told.
        run: its setting and scores; None if they cannot be told.
        parameters: of its model; None without the file of its weights.
        seconds: that its stages trained, whether here or for an earlier run; None without a manifest.
        problems: what is wrong with the folder, a sentence each.
    """

    path: Path
    config: Mapping[str, Any]
    setting: Mapping[str, str]
    run: Run | None
    parameters: int | None
    seconds: float | None
    problems: Sequence[str]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def finished(self) -> bool:
        return not self.problems


def is_run(folder: Path) -> bool:
    """Whether a training began to write a folder."""
    return any((folder / name).is_file() for name in (CONFIG, MANIFEST, SCORES, PREDICTIONS))


def read_entry(folder: Path, named: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Entry:
    """The run of a folder, whatever state it is in; `named` gives what of a config may change a result."""
    problems: list[str] = []

    def attempt(name: str, read: Callable[[], Any]) -> Any:
        if not (folder / name).is_file():
            problems.append(f"no {name}" + (": the training has not ended" if name == MANIFEST else ""))
            return None
        try:
            return read()
        except TO_READ as error:
            problems.append(f"{name} cannot be read ({first_line(error)})")
            return None

    config = attempt(CONFIG, lambda: read_config(folder / CONFIG)) or {}
    asked = None
    if (folder / ASKED).is_file():
        asked = attempt(ASKED, lambda: checked_scores(read_json(folder / ASKED)))
    if asked is not None and not (folder / SCORES).is_file():  # a training without held-out data
        scores = asked
    else:
        scores = attempt(SCORES, lambda: checked_scores(read_json(folder / SCORES)))
        scores = scores and with_benchmarks(scores, asked or {"families": {}})
    manifest = attempt(MANIFEST, lambda: read_json(folder / MANIFEST))
    setting: dict[str, str] = {}
    if config:
        try:
            setting = setting_of(named(config))
        except (KeyError, TypeError, AttributeError) as error:
            problems.append(f"{CONFIG} is of another version ({first_line(error)})")
        if not isinstance(config.get("seed"), int):
            problems.append(f"{CONFIG} has no seed")
    told = setting and scores and isinstance(config.get("seed"), int)
    run = Run(folder.name, config["seed"], setting, scores) if told else None
    return Entry(folder, config, setting, run, parameters(folder / MODEL), training_seconds(manifest), tuple(problems))


def read_config(path: Path) -> dict[str, Any]:
    """The fields of a resolved config.

    Raises:
        ValueError, yaml.YAMLError: it is damaged, or has none.
        OSError: it cannot be opened.
    """
    value = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    if not isinstance(value, dict):
        raise ValueError("it has no fields")
    return {str(name): node for name, node in value.items()}


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        ValueError: it is damaged, or no object.
        OSError: it cannot be opened.
    """
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    return value


def checked_scores(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores that have what tables and plots read: `score`, and numbers wherever there is something.

    Raises:
        ValueError: they have not.
    """
    families = scores.get("families")
    if not isinstance(families, dict) or not families:
        raise ValueError("it has no families")
    for name, row in {OVERALL: scores.get(OVERALL), **families}.items():
        if not isinstance(row, dict) or not is_number(row.get("score")):
            raise ValueError(f"{name} has no score")
        if wrong := [key for key in ("low", "high", "stderr", "blind", "n") if not is_number(row.get(key, 0))]:
            raise ValueError(f"{name}.{wrong[0]} is not a number")
    return scores


def with_benchmarks(scores: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of a run with those of the benchmarks that it was asked later: more families, and Eagle's average of what there is."""
    families = {**scores["families"], **asked["families"]}
    return {"overall": scores[OVERALL], "families": families, **average_of(families)}


def is_number(value: Any) -> TypeGuard[float]:
    """A finite int or float, and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def parameters(path: Path) -> int | None:
    """How many numbers a file of weights holds; only its header is read."""
    try:
        with safe_open(path, "numpy") as weights:
            return sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return None


def training_seconds(manifest: Mapping[str, Any] | None) -> float | None:
    """Of all stages but that of the blind model, which every run shares."""
    stages = (manifest or {}).get("stages")
    if not isinstance(stages, list):
        return None
    told = [s.get("seconds") for s in stages if isinstance(s, dict) and s.get("label") != BLIND]
    known = [seconds for seconds in told if is_number(seconds)]
    return round(sum(known), 1) if known and len(known) == len(told) else None


def read_curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Every logged quantity but the final scores, as steps and values, means of neighbours where there are many.

    Raises:
        ValueError, OSError, csv.Error: the file is damaged.
    """
    found: dict[str, dict[int, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if not name or not text or name in ("step", "epoch") or name.startswith("eval/"):
                    continue
                if math.isfinite(value := float(text)):
                    found.setdefault(name, {})[int(row["step"])] = value  # of a step logged twice, the later
    return {name: thinned(sorted(points.items())) for name, points in sorted(found.items())}


def thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most CURVE_POINTS points: the last step and the mean value of each group of neighbours."""
    size = -(-len(points) // CURVE_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size or 1)]
    return [(group[-1][0], float(f"{sum(v for _, v in group) / len(group):.4g}")) for group in groups]


def read_selection(path: Path) -> list[dict[str, Any]]:
    """The rounds of a selection, with the candidates that have a score; none of them if the file is damaged."""
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
    except (*TO_READ, KeyError, TypeError, AttributeError):
        return []
