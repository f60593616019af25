"""What all plots share: colours, sizes, legends, and the way from a figure to an SVG element."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eaglebench.report.plot import Plot
from eaglebench.utils.quoting import shorten

INK = "#010203"  # replaced by the colour of the text around the plot
# Legible on black and on white.
COLOURS = ("#2f80d0", "#d9730d", "#2e9e5b", "#c0486f", "#8a63d2", "#98811a", "#1f9aa5", "#7a7f87")
MARKERS = "osD^vP*X"
WIDTH, HEIGHT = 7.4, 4.0  # inches
MAX_ITEMS = 30  # bars or legend entries in one plot
MAX_LABEL = 60  # characters
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "eaglebench",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "axes.formatter.useoffset": False,  # 0.5001, and not 1e-4 above 0.5
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#80808050",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def use_style() -> AbstractContextManager[None]:
    """A context in which figures have the style of the report."""
    context: AbstractContextManager[None] = matplotlib.rc_context(STYLE)
    return context


def new_axes(height: float) -> tuple[Figure, Axes]:
    """A figure with one plot; the height is in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def add_legend(axes: Axes, names: Sequence[str], below: bool = False) -> None:
    """Add a legend right of or below the plot, with the colour and marker of each number; at most MAX_ITEMS names."""
    handles = [
        Line2D(
            [],
            [],
            ls="",
            marker=MARKERS[i % len(MARKERS)],
            color=COLOURS[i % len(COLOURS)],
            label=shorten_label(name),
        )
        for i, name in enumerate(names[:MAX_ITEMS])
    ]
    axes.figure.legend(handles=handles, loc="outside lower center" if below else "outside right upper")


def shorten_label(text: str) -> str:
    """The text with at most MAX_LABEL characters."""
    return shorten(text, MAX_LABEL)


def to_plot(figure: Figure, name: str, title: str, caption: str) -> Plot:
    """The figure as a `Plot` whose SVG takes the colour of the text around it."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):  # so that no two plots on the page share an id
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return Plot(name, title, caption, text[text.index("<svg") :].replace(INK, "currentColor"))
