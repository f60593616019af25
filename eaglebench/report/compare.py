"""Runs side by side: what varies between them, and their scores by family over the seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from eaglebench.evaluation.evaluate import SCORES

OVERALL = "overall"


@dataclass(frozen=True)
class Run:
    """A finished run: what it is made of, its seed, and its `scores.json`."""

    setting: Mapping[str, str]
    seed: int
    scores: Mapping[str, Any]


def setting_of(config: Mapping[str, Any]) -> dict[str, str]:
    """What a run is told apart by: experts, fusion, and stages with their lengths."""
    stages = [f"{name} {stage['steps'] or stage['epochs']}" for name, stage in config["stages"].items()]
    return {
        "experts": "+".join(config["experts"]),
        "fusion": config["fusion"]["name"],
        "stages": ", ".join(stages),
    }


def read_run(folder: Path, config: Mapping[str, Any]) -> Run:
    """The run of a folder whose config has been read."""
    scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
    return Run(setting_of(config), config["seed"], scores)


def markdown_table(runs: Sequence[Run]) -> str:
    """A row for each setting, with the columns of it that differ, and the mean ± standard deviation over its seeds.

    The best of each family is bold; the last row is the blind score.
    """
    settings: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        settings.setdefault(tuple(run.setting.items()), []).append(run)
    names = [name for name in runs[0].setting if len({run.setting[name] for run in runs}) > 1] or ["experts"]
    families = [OVERALL, *sorted({family for run in runs for family in run.scores["families"]})]
    rows = [(dict(setting), {name: values(of, name, "score") for name in families}) for setting, of in settings.items()]
    rows.sort(key=lambda row: -fmean(row[1][OVERALL] or [0.0]))
    best = {name: max(fmean(scores[name]) for _, scores in rows if scores[name]) for name in families}
    lines = [line([*names, *families, "seeds"]), line(["---"] * (len(names) + len(families) + 1))]
    for setting, scores in rows:
        cells = [shown(scores[name], bool(scores[name]) and fmean(scores[name]) == best[name]) for name in families]
        lines.append(line([*(setting[name] for name in names), *cells, str(len(scores[OVERALL]))]))
    blind = [shown(values(runs, name, "blind"), False) for name in families]
    return "\n".join([*lines, line(["*blind*", *[""] * (len(names) - 1), *blind, ""])])


def values(runs: Sequence[Run], family: str, key: str) -> list[float]:
    """One figure of each run that has the family."""
    rows = [run.scores[OVERALL] if family == OVERALL else run.scores["families"].get(family) for run in runs]
    return [row[key] for row in rows if row is not None]


def shown(figures: Sequence[float], bold: bool) -> str:
    """Mean and standard deviation as text."""
    if not figures:
        return "-"
    text = f"{fmean(figures):.3f}" + (f" ± {stdev(figures):.3f}" if len(figures) > 1 else "")
    return f"**{text}**" if bold else text


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
