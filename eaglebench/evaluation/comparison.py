"""TODO."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eaglebench.evaluation.significance import Paired, paired
from eaglebench.runs import PREDICTIONS, benchmark_predictions
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed

Key = tuple[str, str, int, str]  # family, id, turn, question

Answers = Mapping[Key, Mapping[str, Any]]


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
