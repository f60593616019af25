"""Plots of runs as SVG: each is drawn only where there are data for it."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from eaglebench.report.entries import Entry, is_number
from eaglebench.report.settings import OVERALL, Setting, families_of

INK = "#010203"  # becomes the colour of the text around the plot
COLOURS = (
    "#2f80d0",
    "#d9730d",
    "#2e9e5b",
    "#c0486f",
    "#8a63d2",
    "#98811a",
    "#1f9aa5",
    "#7a7f87",
)  # seen on black and white
MARKERS = "osD^vP*X"
WIDTH, HEIGHT = 7.4, 4.0  # inches
SHOWN = 8  # settings in one radar, as many as there are colours
MOST = 30  # bars or groups that can be told apart
LONGEST = 60  # characters of a label
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "eaglebench",
    "text.parse_math": False,  # a dollar in a name is a dollar
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


@dataclass(frozen=True)
class Plot:
    """An SVG element, with the words that stand for it and say how it is read."""

    name: str
    title: str
    caption: str
    svg: str


def plots(
    settings: Sequence[Setting], entries: Mapping[str, Entry], selections: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[Plot]:
    """The plots that the data are enough for.

    Args:
        entries: by the names of the settings' runs.
        selections: rounds by the name of a selection.
    """
    with matplotlib.rc_context(STYLE):
        yield from by_fusion(settings)
        yield from against_cost(settings, entries)
        for name, rounds in selections.items():
            yield from selection(name, rounds)
        yield from pre_alignment(settings)
        yield from radar(settings)


def by_fusion(settings: Sequence[Setting]) -> Iterator[Plot]:
    """Scores by fusion, the settings of one list of experts in one colour; of two fusions or more."""
    fusions = sorted({fusion(setting) for setting in settings})
    experts = sorted({setting.runs[0].setting["experts"] for setting in settings})
    if len(fusions) < 2:
        return
    figure, axes = empty(HEIGHT)
    width = 0.7 / len(experts)
    for number, chosen in enumerate(experts):
        own = [setting for setting in settings if setting.runs[0].setting["experts"] == chosen]
        for setting in own:
            place = fusions.index(fusion(setting)) + width * (number - (len(experts) - 1) / 2)
            point(axes, place, setting, number)
    axes.set_xticks(range(len(fusions)), fusions, rotation=20, ha="right")
    axes.set_xlim(-0.6, len(fusions) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("overall score")
    key(axes, experts)
    yield finished(
        figure, "fusion", "Score by fusion", f"A point for each setting, a colour for each list of experts. {INTERVALS}"
    )


INTERVALS = "Bars: mean ± standard deviation over seeds; of one seed, the 95 % bootstrap interval over questions where the run has it."


def against_cost(settings: Sequence[Setting], entries: Mapping[str, Entry]) -> Iterator[Plot]:
    """Scores against parameters and against seconds of training; where settings differ in them."""
    for name, label, figures in (
        ("parameters", "parameters of the whole model", {n: e.parameters for n, e in entries.items()}),
        ("seconds", "seconds of training", {n: e.seconds for n, e in entries.items()}),
    ):
        known = {
            index: fmean(found)
            for index, setting in enumerate(settings)
            if (found := [cost for run in setting.runs if (cost := figures[run.name]) is not None])
        }
        if len(set(known.values())) < 2:
            continue
        fusions = sorted({fusion(settings[index]) for index in known})
        figure, axes = empty(HEIGHT)
        for index, cost in known.items():
            point(axes, cost, settings[index], fusions.index(fusion(settings[index])))
        if max(known.values()) > 10 * max(min(known.values()), 1e-9):
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel(label)
        axes.set_ylabel("overall score")
        key(axes, fusions)
        yield finished(
            figure,
            f"cost-{name}",
            f"Score against {label}",
            f"A point for each setting, a colour for each fusion. {INTERVALS}",
        )


def selection(name: str, rounds: Sequence[Mapping[str, Any]]) -> Iterator[Plot]:
    """Every candidate of every round, and a line through those kept; of one candidate or more."""
    scored = [each for each in rounds if each["candidates"]]
    if not scored:
        return
    scores = [candidate["score"] for each in scored for candidate in each["candidates"]]
    apart = max(max(scores) - min(scores), 1e-3) / 16  # two labels
    figure, axes = empty(HEIGHT)
    kept: list[tuple[int, float]] = []
    before: Sequence[str] = ()
    for each in scored:
        below = math.inf
        for candidate in sorted(each["candidates"], key=lambda one: -one["score"]):
            at, chosen = (each["round"], candidate["score"]), set(candidate["experts"]) == set(each["kept"])
            kept += [at] if chosen else []
            axes.plot(*at, "o", color=COLOURS[0], mfc=COLOURS[0] if chosen else "none")
            bounds = candidate.get("low"), candidate.get("high")
            if chosen and all(map(is_number, bounds)):
                axes.plot([at[0]] * 2, bounds, color=COLOURS[0], lw=1, alpha=0.6)
            below = min(at[1], below - apart)
            text = step(candidate["experts"], before) if before else "+".join(candidate["experts"])
            axes.annotate(shortened(text), (at[0] + 0.1, below), va="center", fontsize=8)
        before = each["kept"]
    if kept:
        axes.plot(*zip(*kept, strict=True), color=COLOURS[0], lw=1)
    places = [each["round"] for each in scored]
    axes.set_xticks(places)
    axes.set_xlim(min(places) - 0.3, max(places) + 0.9)
    axes.set_xlabel("round")
    axes.set_ylabel("score")
    caption = "Every set of experts of a round; filled and joined, those that were kept, with the bounds that selection.json gives them."
    yield finished(figure, name, f"Selection of experts: {name}", caption)


def step(experts: Sequence[str], before: Sequence[str]) -> str:
    """What a set has more, or less, than the one before it."""
    more = [f"+ {name}" for name in experts if name not in before]
    return " ".join(more + [f"- {name}" for name in before if name not in experts]) or "the same"


def pre_alignment(settings: Sequence[Setting]) -> Iterator[Plot]:
    """What the stage adds to the score; of pairs of settings that differ in nothing else."""
    without = {rest(setting): setting for setting in settings if "pre_align" not in stages(setting)}
    pairs = [
        (setting, without[rest(setting)])
        for setting in settings
        if "pre_align" in stages(setting) and rest(setting) in without
    ]
    if not pairs:
        return
    pairs = pairs[:MOST]
    figure, axes = empty(1.2 + 0.32 * len(pairs))
    for place, (one, other) in enumerate(pairs):
        delta = one.mean(OVERALL) - other.mean(OVERALL)
        found = [one.values(OVERALL), other.values(OVERALL)]
        spread = math.sqrt(sum(map(variance, found))) if all(len(each) > 1 for each in found) else None
        axes.barh(place, delta, xerr=spread, color=COLOURS[2 if delta > 0 else 3], ecolor=INK, height=0.6)
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(pairs)), [shortened(label(one, but=("stages",))) for one, _ in pairs])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("overall score with pre-alignment less that without")
    yield finished(
        figure,
        "pre-alignment",
        "What pre-alignment adds",
        "Pairs of settings that differ in the stage alone. Whiskers: deviation of the difference, where both have several seeds.",
    )


def radar(settings: Sequence[Setting]) -> Iterator[Plot]:
    """Scores by question family, of the best settings; of three families or more."""
    every = families_of([run for setting in settings for run in setting.runs])[1:]
    shared = [name for name in every if all(setting.values(name) for setting in settings)]
    families = shared if len(shared) > 2 else every
    own = [setting for setting in settings if all(setting.values(name) for name in families)][:SHOWN]
    if len(families) < 3 or not own:
        return
    figure = Figure(figsize=(WIDTH, HEIGHT + 0.2 * len(own)), layout="constrained")
    axes = figure.add_subplot(polar=True)
    angles = [2 * math.pi * index / len(families) for index in range(len(families))]
    for number, setting in enumerate(own):
        scores = [setting.mean(name) for name in families]
        axes.plot([*angles, 0], [*scores, scores[0]], color=COLOURS[number], lw=1.4, marker=MARKERS[number], ms=3)
    axes.set_xticks(angles, families)
    quarters = math.ceil(4 * max(setting.mean(name) for setting in own for name in families)) or 1
    axes.set_ylim(0, quarters / 4)
    axes.set_yticks([each / 4 for each in range(1, quarters + 1)], [f"{each / 4:g}" for each in range(1, quarters + 1)])
    axes.tick_params(axis="y", labelsize=7)
    axes.spines["polar"].set_color("#80808080")
    key(axes, [label(setting) for setting in own], below=True)
    more = len(settings) - len(own)
    left = f" The best {len(own)} settings that have these families; {more} more in the table." if more else ""
    yield finished(figure, "families", "Score by question family", f"Means over seeds.{left}")


def empty(height: float) -> tuple[Figure, Axes]:
    """A figure with one plot."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def point(axes: Axes, x: float, setting: Setting, number: int) -> None:
    """The overall score of a setting, with its interval, in the colour and shape of a number."""
    mean, bounds = setting.mean(OVERALL), setting.interval(OVERALL)
    colour = COLOURS[number % len(COLOURS)]
    if bounds is not None:
        axes.plot([x, x], bounds, lw=1.2, alpha=0.7, color=colour)
    axes.plot(x, mean, MARKERS[number % len(MARKERS)], ms=5, color=colour)


def key(axes: Axes, names: Sequence[str], below: bool = False) -> None:
    """A legend beside or below the plot, of as many names as can be told apart."""
    handles = [
        Line2D([], [], ls="", marker=MARKERS[i % len(MARKERS)], color=COLOURS[i % len(COLOURS)], label=name)
        for i, name in enumerate(names[:MOST])
    ]
    axes.figure.legend(handles=handles, loc="outside lower center" if below else "outside right upper")


def fusion(setting: Setting) -> str:
    """Its strategy."""
    return setting.runs[0].setting.get("fusion.name", "")


def stages(setting: Setting) -> list[str]:
    """Their names, in order."""
    return setting.runs[0].setting["stages"].split("+")


def rest(setting: Setting) -> frozenset[tuple[str, str]]:
    """A setting without what belongs to pre-alignment alone."""
    own = dict(setting.runs[0].setting)
    own["stages"] = "+".join(name for name in stages(setting) if name != "pre_align")
    return frozenset(
        item for item in own.items() if not item[0].startswith(("stages.pre_align.", "presets.pre_align."))
    )


def label(setting: Setting, but: Sequence[str] = ()) -> str:
    """What tells a setting from the others, in few words; without the fields `but`."""
    plain = ("experts", "stages", "fusion.name")
    told = {name: value for name, value in setting.fields.items() if value and name not in but}
    return ", ".join(value if name in plain else f"{name.split('.')[-1]}={value}" for name, value in told.items())


def shortened(text: str) -> str:
    """As much of a text as a label has place for."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def finished(figure: Figure, name: str, title: str, caption: str) -> Plot:
    """The figure as an SVG element whose ink is that of the text around it."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):  # ids of one plot are none of another's
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return Plot(name, title, caption, text[text.index("<svg") :].replace(INK, "currentColor"))
