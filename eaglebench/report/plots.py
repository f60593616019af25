"""The plots of a report as SVG; each is drawn only if there are enough data for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from eaglebench.report.entries import RunEntry
from eaglebench.report.plot import Plot
from eaglebench.report.rankings import Ranking


def draw_plots(
    rankings: Sequence[Ranking],
    entries: Mapping[str, RunEntry],
    selections: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[Plot]:
    """Yield the plots that there are enough data for.

    Args:
        rankings: of the finished runs. A plot shows one of them; if there are several, its title says which.
        entries: the run folders by name.
        selections: the rounds of each selection of experts, by its name.
    """
    # Imported here: matplotlib takes most of a second.
    from eaglebench.report.plot_style import use_style
    from eaglebench.report.selection_plot import plot_selection
    from eaglebench.report.setting_plots import plot_cost, plot_families, plot_fusion, plot_pre_alignment

    with use_style():
        for ranking in rankings:
            if len(rankings) > 1 and len(ranking.settings) < 2:
                continue  # nothing to compare
            suffix = f"-{ranking.questions.key}" if len(rankings) > 1 else ""
            for plot in (
                *plot_fusion(ranking.settings, suffix),
                *plot_cost(ranking.settings, entries, suffix),
                *plot_pre_alignment(ranking.settings, suffix),
                *plot_families(ranking.settings, suffix),
            ):
                yield replace(plot, title=f"{plot.title}, {ranking.title}") if suffix else plot
        for name, rounds in selections.items():
            yield from plot_selection(name, rounds)
