"""What a selection found, as JSON and as tables like the paper's figure 4."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eaglebench.profiling.estimate.vision_cost import Cost
from eaglebench.report.leaderboard import markdown as table
from eaglebench.search.selection import Figure, Found, Round, Set
from eaglebench.search.trials import Result


@dataclass(frozen=True)
class Tried:
    """A set of experts: what its trials gave, one for each seed, and what it costs; None where one failed, or it
    cannot be measured."""

    results: tuple[Result, ...]
    cost: Cost | None

    @property
    def error(self) -> str | None:
        """Why it has no figure."""
        return next((result.error for result in self.results if result.error is not None), None)


def outcome(name: str, rounds: Sequence[Round], found: Found, tried: Mapping[Set, Tried]) -> dict[str, Any]:
    """All of it, for selection.json."""
    return {
        "score": name,
        "rounds": [
            {
                "round": number,
                "candidates": [candidate(one, figure, tried[one]) for one, figure in round.figures.items()],
                "kept": list(round.kept),
            }
            for number, round in enumerate(rounds)
        ],
        "kept": list(found.kept),
        "stopped": found.why,
    }


def candidate(one: Set, figure: Figure | None, what: Tried) -> dict[str, Any]:
    """One row of a round; the bounds are those of one standard error over the seeds."""
    cost = what.cost
    return {
        "experts": list(one),
        "score": None if figure is None else round(figure.mean, 4),
        "low": None if figure is None else round(figure.mean - figure.error, 4),
        "high": None if figure is None else round(figure.mean + figure.error, 4),
        "scores": None if figure is None else list(figure.scores),
        "parameters": None if cost is None else cost.parameters,
        "macs": None if cost is None else cost.macs,
        "images_per_second": None if cost is None else cost.images_per_second,
        "runs": [result.folder.name for result in what.results],
        "run": what.results[0].folder.name,
        "error": what.error,
    }


def markdown(found: Mapping[str, Any]) -> str:
    """A table of what `outcome` gives: a row for each set of each round, the kept one bold."""
    head = ["round", "experts", "parameters (M)", "GMACs", "images/s", found["score"], "gain"]
    lines, before = [head], None
    for one in found["rounds"]:
        ranked = sorted(one["candidates"], key=lambda row: -(row["score"] if row["score"] is not None else -1))
        for row in ranked:
            bold = "**" if row["experts"] == one["kept"] else ""
            lines.append(
                [str(one["round"]), f"{bold}{'+'.join(row['experts'])}{bold}", *costs(row), *scores(row, before)]
            )
        best = [row["score"] for row in ranked if row["experts"] == one["kept"]]
        before = best[0] if best else before
    return f"{table(lines)}\n\nKept: **{'+'.join(found['kept'])}**; {found['stopped']}.\n"


def costs(row: Mapping[str, Any]) -> list[str]:
    """What a set costs, as cells."""
    if row["parameters"] is None:
        return ["-"] * 3
    speed = row["images_per_second"]
    return [f"{row['parameters'] / 1e6:,.2f}", f"{row['macs'] / 1e9:,.3g}", "-" if speed is None else f"{speed:,.1f}"]


def scores(row: Mapping[str, Any], before: float | None) -> list[str]:
    """A set's score with its standard error, and what it gains on the set that was kept before, as cells."""
    if row["score"] is None:
        return ["failed", row["error"]]
    spread = f" ± {row['score'] - row['low']:.4f}" if len(row["scores"]) > 1 else ""
    return [f"{row['score']:.4f}{spread}", "" if before is None else f"{row['score'] - before:+.4f}"]
