"""The plot of a selection of experts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eaglebench.report.plot import Plot
from eaglebench.report.plot_style import COLOURS, HEIGHT, new_axes, shorten_label, to_plot
from eaglebench.report.run_files import is_number

CAPTION = (
    "Every set of experts of a round. The sets that were kept are filled and joined by a line, "
    "with the bounds of selection.json."
)


def plot_selection(name: str, rounds: Sequence[Mapping[str, Any]]) -> Iterator[Plot]:
    """The score of every candidate of every round, with a line through those that were kept; none without candidates.

    Args:
        name: of the plot and of the selection.
        rounds: those of a selection.json.
    """
    scored = [each for each in rounds if each["candidates"]]
    if not scored:
        return
    scores = [candidate["score"] for each in scored for candidate in each["candidates"]]
    label_distance = max(max(scores) - min(scores), 1e-3) / 16
    figure, axes = new_axes(HEIGHT)
    kept: list[tuple[int, float]] = []
    before: Sequence[str] = ()
    for each in scored:
        label_height = math.inf
        for candidate in sorted(each["candidates"], key=lambda one: -one["score"]):
            point, chosen = (each["round"], candidate["score"]), set(candidate["experts"]) == set(each["kept"])
            kept += [point] if chosen else []
            axes.plot(*point, "o", color=COLOURS[0], mfc=COLOURS[0] if chosen else "none")
            bounds = candidate.get("low"), candidate.get("high")
            if chosen and all(map(is_number, bounds)):
                axes.plot([point[0]] * 2, bounds, color=COLOURS[0], lw=1, alpha=0.6)
            label_height = min(point[1], label_height - label_distance)
            text = describe_step(candidate["experts"], before) if before else "+".join(candidate["experts"])
            axes.annotate(shorten_label(text), (point[0] + 0.1, label_height), va="center", fontsize=8)
        before = each["kept"]
    if kept:
        axes.plot(*zip(*kept, strict=True), color=COLOURS[0], lw=1)
    numbers = [each["round"] for each in scored]
    axes.set_xticks(numbers)
    axes.set_xlim(min(numbers) - 0.3, max(numbers) + 0.9)
    axes.set_xlabel("round")
    axes.set_ylabel("score")
    yield to_plot(figure, name, f"Selection of experts: {name}", CAPTION)


def describe_step(experts: Sequence[str], before: Sequence[str]) -> str:
    """The experts that were added to or removed from the set that was kept before, as in `+ sam`."""
    added = [f"+ {name}" for name in experts if name not in before]
    return " ".join(added + [f"- {name}" for name in before if name not in experts]) or "the same"
