"""task=compare: two finished runs on the same questions, and how far their difference may be chance."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.table import Table

from eaglebench.config.build import new_console
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.evaluate import PREDICTIONS, benchmark_predictions
from eaglebench.evaluation.significance import Paired, paired
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed

Key = tuple[str, str, int, str]  # family, id, turn, question
Answers = Mapping[Key, Mapping[str, Any]]


def compare(cfg: DictConfig) -> None:
    """Print what the second run of `cfg.compare.runs` scores more than the first, by family, with interval and p-value."""
    if len(cfg.compare.runs) != 2:
        raise UserError("compare.runs wants the folders of two finished runs: 'compare.runs=[results/A,results/B]'.")
    first, second = (answers_of(Path(folder)) for folder in cfg.compare.runs)
    if first.keys() != second.keys() or any(first[key]["reference"] != second[key]["reference"] for key in first):
        raise UserError(
            f"the two runs answered different questions ({len(first.keys() - second.keys())} of the first alone, "
            f"{len(second.keys() - first.keys())} of the second alone; or references differ): evaluate both on the same data with task=eval."
        )
    new_console().print(table_of(differences(first, second), *cfg.compare.runs))


def answers_of(folder: Path) -> Answers:
    """The answers of a finished run, or of a folder that task=eval wrote: one benchmark's, or that of all of them.

    Raises:
        UserError: there are none, or one question is there twice.
    """
    paths = [folder / PREDICTIONS] if (folder / PREDICTIONS).is_file() else benchmark_predictions(folder)
    if not paths:
        raise UserError(f"{folder} is not the folder of an evaluated run (no {PREDICTIONS} in it).")
    found: dict[Key, Mapping[str, Any]] = {}
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                key = (row["family"], row["id"], row.get("turn", 0), row["question"])
                if key in found:
                    raise UserError(
                        f"{path} has the question {row['id']} of {row['family']} twice: give each an id of its own."
                    )
                found[key] = row
    return found


def differences(first: Answers, second: Answers) -> dict[str, tuple[float, float, Paired]]:
    """By family, and first of all overall, where each family counts once: both means and what they differ by."""
    keys = sorted(first)
    counts: dict[str, int] = {}
    for family, *_ in keys:
        counts[family] = counts.get(family, 0) + 1
    weights = {family: len(keys) / (len(counts) * count) for family, count in counts.items()}

    def compared(chosen: list[Key], weigh: Mapping[str, float]) -> tuple[float, float, Paired]:
        own, other = ([answers[key]["score"] * weigh.get(key[0], 1.0) for key in chosen] for answers in (first, second))
        units = [first[key]["image"] or key[1] for key in chosen]
        seed = named_seed(0, chosen[0][0])
        return sum(own) / len(own), sum(other) / len(other), paired(own, other, units, seed)

    families = {family: compared([key for key in keys if key[0] == family], {}) for family in sorted(counts)}
    own, other, overall = compared(keys, weights)
    # The weights are right for the means and the signs, and not for drawing: a family would be drawn more often or less.
    drawn = np.mean([what.drawn for _, _, what in families.values()], axis=0)
    return {"overall": (own, other, replace(overall, drawn=drawn)), **families}


def table_of(found: Mapping[str, tuple[float, float, Paired]], first: str, second: str) -> Table:
    """The table of `differences`."""
    table = Table(title=f"A: {first}\nB: {second}", title_justify="left")
    table.add_column("")
    for column in ("A", "B", "B - A", "95 % interval", "p", "questions"):
        table.add_column(column, justify="right")
    if official := sorted(found.keys() & BENCHMARKS.keys()):
        table.caption = (
            f"Means over answers; the figures that papers print of {', '.join(official)} are in scores.json."
        )
    for name, (own, other, what) in found.items():
        interval = f"{what.low:+.3f} to {what.high:+.3f}"
        table.add_row(
            name, f"{own:.3f}", f"{other:.3f}", f"{what.difference:+.3f}", interval, f"{what.p_value:.4f}", str(what.n)
        )
    return table
