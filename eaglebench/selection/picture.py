"""The curve of a selection."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Page


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw every set's score over the round in which it was tried, and a line through those that were kept.

    Args:
        found: as in selection.json.
        path: of a PNG.
    """
    page = Page(figsize=(8, 4.5), layout="constrained")
    axes = page.subplots()
    line: list[tuple[int, float]] = []
    for one in found["rounds"]:
        for row in one["candidates"]:
            if row["score"] is None:
                continue
            kept = row["experts"] == one["kept"]
            axes.errorbar(
                one["round"],
                row["score"],
                yerr=row["score"] - row["low"],
                fmt="o",
                color="C0" if kept else "0.6",
                capsize=3,
                zorder=3 if kept else 2,
            )
            label = "+".join(row["experts"]) if one["round"] == 0 else name_of(row, found, one["round"])
            axes.annotate(
                label, (one["round"], row["score"]), (7, 5), textcoords="offset points", fontsize=8,
                color="black" if kept else "0.4",
            )  # fmt: skip
            if kept:
                line.append((one["round"], row["score"]))
    axes.plot(*zip(*line, strict=True), color="C0", zorder=1)
    axes.set_xticks(range(len(found["rounds"])))
    axes.margins(x=0.15)
    axes.set(xlabel="round", ylabel=found["score"], title=f"kept: {' + '.join(found['kept'])}")
    axes.spines[["top", "right"]].set_visible(False)
    page.savefig(path, dpi=150)


def name_of(row: Mapping[str, Any], found: Mapping[str, Any], number: int) -> str:
    """What a set has more, or less, than the one that was kept in the round before."""
    before = found["rounds"][number - 1]["kept"]
    more = [f"+{name}" for name in row["experts"] if name not in before]
    less = [f"-{name}" for name in before if name not in row["experts"]]
    return " ".join(more + less)
