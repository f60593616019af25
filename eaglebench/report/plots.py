"""The plots of a report as SVG; each is drawn only if there are enough data for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eaglebench.report.entries import RunEntry
from eaglebench.report.plot import Plot
from eaglebench.report.settings import Setting


def draw_plots(
    settings: Sequence[Setting],
    entries: Mapping[str, RunEntry],
    selections: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[Plot]:
    """Yield the plots that there are enough data for.

    Args:
        settings: those of the finished runs.
        entries: the run folders by name.
        selections: the rounds of each selection of experts, by its name.
    """
    # Imported here: matplotlib takes most of a second.
    from eaglebench.report.plot_style import use_style
    from eaglebench.report.selection_plot import plot_selection
    from eaglebench.report.setting_plots import plot_cost, plot_families, plot_fusion, plot_pre_alignment

    with use_style():
        yield from plot_fusion(settings)
        yield from plot_cost(settings, entries)
        for name, rounds in selections.items():
            yield from plot_selection(name, rounds)
        yield from plot_pre_alignment(settings)
        yield from plot_families(settings)
