"""What a selection found, as JSON and as a table like the paper's figure 4."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eaglebench.report.leaderboard import to_markdown
from eaglebench.search.selection import ExpertSet, SearchResult, SearchRound, SeedScores
from eaglebench.search.trials import TrialResult

if TYPE_CHECKING:
    from eaglebench.profiling.estimate.vision_cost import VisionCost  # imports torch


@dataclass(frozen=True)
class TriedSet:
    """What a selection knows of a set of experts.

    Attributes:
        results: of its trials, one for each seed.
        cost: of its vision side; None if a trial failed, or the cost could not be measured.
    """

    results: tuple[TrialResult, ...]
    cost: "VisionCost | None"

    @property
    def error(self) -> str | None:
        """Why its first failed trial failed; None if none did."""
        return next((result.error for result in self.results if result.error is not None), None)


def selection_json(
    score: str, rounds: Sequence[SearchRound], result: SearchResult, tried: Mapping[ExpertSet, TriedSet]
) -> dict[str, Any]:
    """The contents of `selection.json`: each round with its candidates, and the set that was kept.

    Args:
        score: the name of the score that decided.
    """
    return {
        "score": score,
        "rounds": [
            {
                "round": number,
                "candidates": [candidate_json(one, scores, tried[one]) for one, scores in round.scores.items()],
                "kept": list(round.kept),
            }
            for number, round in enumerate(rounds)
        ],
        "kept": list(result.kept),
        "stopped": result.why,
    }


def candidate_json(experts: ExpertSet, scores: SeedScores | None, tried: TriedSet) -> dict[str, Any]:
    """One candidate of a round; `low` and `high` are the mean score minus and plus its standard error."""
    cost = tried.cost
    return {
        "experts": list(experts),
        "score": None if scores is None else round(scores.mean, 4),
        "low": None if scores is None else round(scores.mean - scores.error, 4),
        "high": None if scores is None else round(scores.mean + scores.error, 4),
        "scores": None if scores is None else list(scores.scores),
        "parameters": None if cost is None else cost.parameters,
        "macs": None if cost is None else cost.macs,
        "images_per_second": None if cost is None else cost.images_per_second,
        "runs": [result.folder.name for result in tried.results],
        "run": tried.results[0].folder.name,
        "error": tried.error,
    }


def selection_markdown(selection: Mapping[str, Any]) -> str:
    """The Markdown table of a `selection_json`: a row for each set of each round, the kept one bold."""
    head = ["round", "experts", "parameters (M)", "GMACs", "images/s", selection["score"], "gain"]
    lines, before = [head], None
    for one in selection["rounds"]:
        ranked = sorted(one["candidates"], key=lambda row: -(row["score"] if row["score"] is not None else -1))
        for row in ranked:
            bold = "**" if row["experts"] == one["kept"] else ""
            experts = f"{bold}{'+'.join(row['experts'])}{bold}"
            lines.append([str(one["round"]), experts, *cost_cells(row), *score_cells(row, before)])
        best = [row["score"] for row in ranked if row["experts"] == one["kept"]]
        before = best[0] if best else before
    return f"{to_markdown(lines)}\n\nKept: **{'+'.join(selection['kept'])}**; {selection['stopped']}.\n"


def cost_cells(candidate: Mapping[str, Any]) -> list[str]:
    """Three cells: parameters in millions, GMACs of an image, and images a second."""
    if candidate["parameters"] is None:
        return ["-"] * 3
    speed = candidate["images_per_second"]
    return [
        f"{candidate['parameters'] / 1e6:,.2f}",
        f"{candidate['macs'] / 1e9:,.3g}",
        "-" if speed is None else f"{speed:,.1f}",
    ]


def score_cells(candidate: Mapping[str, Any], before: float | None) -> list[str]:
    """Two cells: the mean score with its standard error, and its gain over the set that was kept before.

    For a failed set: `failed`, and its error.
    """
    if candidate["score"] is None:
        return ["failed", candidate["error"]]
    spread = f" ± {candidate['score'] - candidate['low']:.4f}" if len(candidate["scores"]) > 1 else ""
    return [f"{candidate['score']:.4f}{spread}", "" if before is None else f"{candidate['score'] - before:+.4f}"]
