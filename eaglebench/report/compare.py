"""Runs side by side: what varies between them, and their scores by family over the seeds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from eaglebench.errors import UserError
from eaglebench.evaluation.evaluate import SCORES

OVERALL = "overall"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: of its folder.
        seed: of its training.
        setting: every field of its config but the seed and what does not change a result, by its dotted name.
        scores: its `scores.json`.
    """

    name: str
    seed: int
    setting: Mapping[str, str]
    scores: Mapping[str, Any]


def read_run(folder: Path, config: Mapping[str, Any]) -> Run:
    """The run of a folder; `config` is what may change its result."""
    scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
    return Run(folder.name, config["seed"], setting_of(config), scores)


def setting_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The config flattened, experts and stages as two fields more, in their order."""
    fields = {name: str(value) for name, value in flat(config) if name not in ("seed", "fusion._target_")}
    return {"experts": "+".join(config["experts"]), "stages": "+".join(config["stages"]), **fields}


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of all fields."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differing(runs: Sequence[Run]) -> list[str]:
    """The fields that have more than one value among the runs that have them; `experts` if there are none."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.setting.items():
            found.setdefault(name, set()).add(value)
    return [name for name, values in found.items() if len(values) > 1] or ["experts"]


def markdown_table(runs: Sequence[Run]) -> str:
    """A row for each setting, with the fields that differ, and the mean ± standard deviation over its seeds.

    The best of each family is bold; the last row is the blind score.

    Raises:
        UserError: two runs have the same setting and the same seed.
    """
    names = differing(runs)
    settings: dict[tuple[str, ...], dict[int, Run]] = {}
    for run in runs:
        seeds = settings.setdefault(tuple(run.setting.get(name, "") for name in names), {})
        if run.seed in seeds:
            raise UserError(
                f"{seeds[run.seed].name} and {run.name} are the same run twice: leave one out of report.runs."
            )
        seeds[run.seed] = run
    families = [OVERALL, *sorted({family for run in runs for family in run.scores["families"]})]
    rows = [
        (setting, {name: values(list(of.values()), name, "score") for name in families})
        for setting, of in settings.items()
    ]
    rows.sort(key=lambda row: -fmean(row[1][OVERALL]))
    best = {name: max(fmean(scores[name]) for _, scores in rows if scores[name]) for name in families}
    lines = [line([*names, *families, "seeds"]), line(["---"] * (len(names) + len(families) + 1))]
    for setting, scores in rows:
        cells = [shown(scores[name], bool(scores[name]) and fmean(scores[name]) == best[name]) for name in families]
        lines.append(line([*setting, *cells, str(len(scores[OVERALL]))]))
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
