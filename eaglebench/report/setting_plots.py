"""The plots of settings: by fusion, against cost, what pre-alignment adds, and by question family."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, variance

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from eaglebench.report.entries import RunEntry
from eaglebench.report.plot import Plot
from eaglebench.report.plot_style import (
    COLOURS,
    HEIGHT,
    INK,
    MARKERS,
    MAX_ITEMS,
    WIDTH,
    add_legend,
    new_axes,
    shorten_label,
    to_plot,
)
from eaglebench.report.settings import FUSION, LIST_FIELDS, OVERALL, Setting, list_families

WIDE = 10  # costs that differ by this factor are on a logarithmic axis
PRE_ALIGN = "pre_align"  # the name of the stage
MAX_RADAR = 8  # settings in one radar plot, as many as there are colours
INTERVALS = (
    "Bars: mean ± standard deviation over seeds; for one seed, the 95 % bootstrap interval over questions "
    "where the run has it."
)


def plot_fusion(settings: Sequence[Setting], suffix: str = "") -> Iterator[Plot]:
    """Scores by fusion, one colour for each list of experts; none for a single fusion."""
    fusions = sorted({setting.fusion for setting in settings})
    experts = sorted({setting.runs[0].setting["experts"] for setting in settings})
    if len(fusions) < 2:
        return
    figure, axes = new_axes(HEIGHT)
    width = 0.7 / len(experts)
    for number, chosen in enumerate(experts):
        own = [setting for setting in settings if setting.runs[0].setting["experts"] == chosen]
        for setting in own:
            place = fusions.index(setting.fusion) + width * (number - (len(experts) - 1) / 2)
            draw_point(axes, place, setting, number)
    axes.set_xticks(range(len(fusions)), fusions, rotation=20, ha="right")
    axes.set_xlim(-0.6, len(fusions) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("overall score")
    add_legend(axes, experts)
    caption = f"A point for each setting, a colour for each list of experts. {INTERVALS}"
    yield to_plot(figure, f"fusion{suffix}", "Score by fusion", caption)


def plot_cost(settings: Sequence[Setting], entries: Mapping[str, RunEntry], suffix: str = "") -> Iterator[Plot]:
    """Scores against parameters and against training time; none where all settings have the same cost."""
    parameters = {name: entry.parameters for name, entry in entries.items()}
    seconds = {name: entry.seconds for name, entry in entries.items()}
    for name, label, costs, formatter in (
        ("parameters", "parameters of the whole model", parameters, EngFormatter(sep="")),
        ("seconds", "seconds of training", seconds, StrMethodFormatter("{x:,.10g}")),
    ):
        known = {
            index: fmean(values)
            for index, setting in enumerate(settings)
            if (values := [cost for run in setting.runs if (cost := costs[run.name]) is not None])
        }
        if len(set(known.values())) < 2:
            continue
        fusions = sorted({settings[index].fusion for index in known})
        figure, axes = new_axes(HEIGHT)
        for index, cost in known.items():
            draw_point(axes, cost, settings[index], fusions.index(settings[index].fusion))
        if max(known.values()) > WIDE * max(min(known.values()), 1e-9):
            use_log_axis(axes)
        axes.xaxis.set_major_formatter(formatter)
        axes.set_xlabel(label)
        axes.set_ylabel("overall score")
        add_legend(axes, fusions)
        caption = f"A point for each setting, a colour for each fusion. {INTERVALS}"
        yield to_plot(figure, f"cost-{name}{suffix}", f"Score against {label}", caption)


def plot_pre_alignment(settings: Sequence[Setting], suffix: str = "") -> Iterator[Plot]:
    """What pre-alignment adds to the score, for pairs of settings that differ in nothing else; none without a pair."""
    without = {drop_pre_alignment(setting): setting for setting in settings if PRE_ALIGN not in setting.stages}
    pairs = [
        (setting, without[drop_pre_alignment(setting)])
        for setting in settings
        if PRE_ALIGN in setting.stages and drop_pre_alignment(setting) in without
    ]
    if not pairs:
        return
    pairs = pairs[:MAX_ITEMS]
    figure, axes = new_axes(1.2 + 0.32 * len(pairs))
    for place, (one, other) in enumerate(pairs):
        delta = one.mean(OVERALL) - other.mean(OVERALL)
        scores = [one.values(OVERALL), other.values(OVERALL)]
        spread = math.sqrt(sum(map(variance, scores))) if all(len(each) > 1 for each in scores) else None
        axes.barh(place, delta, xerr=spread, color=COLOURS[2 if delta > 0 else 3], ecolor=INK, height=0.6)
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(pairs)), [shorten_label(describe_setting(one, without=("stages",))) for one, _ in pairs])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("overall score with pre-alignment less that without")
    caption = (
        "Pairs of settings that differ in the stage alone. "
        "Whiskers: standard deviation of the difference, where both have several seeds."
    )
    yield to_plot(figure, f"pre-alignment{suffix}", "What pre-alignment adds", caption)


def plot_families(settings: Sequence[Setting], suffix: str = "") -> Iterator[Plot]:
    """A radar plot of scores by question family for the best settings; none for fewer than three families."""
    every = list_families([run for setting in settings for run in setting.runs])[1:]
    shared = [name for name in every if all(setting.values(name) for setting in settings)]
    families = shared if len(shared) > 2 else every
    own = [setting for setting in settings if all(setting.values(name) for name in families)][:MAX_RADAR]
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
    add_legend(axes, [describe_setting(setting) for setting in own], below=True)
    more = len(settings) - len(own)
    rest = f" The best {len(own)} settings that have these families; {more} more are in the table." if more else ""
    yield to_plot(figure, f"families{suffix}", "Score by question family", f"Means over seeds.{rest}")


def use_log_axis(axes: Axes) -> None:
    """Give a plot a logarithmic x-axis with ticks at 1, 2 and 5, whose labels are for the caller to format."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def draw_point(axes: Axes, x: float, setting: Setting, number: int) -> None:
    """Draw the overall score of a setting with its interval, in the colour and marker of `number`."""
    bounds = setting.interval(OVERALL)
    colour = COLOURS[number % len(COLOURS)]
    if bounds is not None:
        axes.plot([x, x], bounds, lw=1.2, alpha=0.7, color=colour)
    axes.plot(x, setting.mean(OVERALL), MARKERS[number % len(MARKERS)], ms=5, color=colour)


def drop_pre_alignment(setting: Setting) -> frozenset[tuple[str, str]]:
    """The fields of a setting without those of pre-alignment."""
    own = dict(setting.runs[0].setting)
    own["stages"] = "+".join(name for name in setting.stages if name != PRE_ALIGN)
    return frozenset(item for item in own.items() if not item[0].startswith(f"stages.{PRE_ALIGN}."))


def describe_setting(setting: Setting, without: Sequence[str] = ()) -> str:
    """The fields that distinguish a setting, in few words; the fields `without` are left out."""
    fields = {name: value for name, value in setting.fields.items() if value and name not in without}
    plain = (*LIST_FIELDS, FUSION)  # their values need no name
    return ", ".join(value if name in plain else f"{name.split('.')[-1]}={value}" for name, value in fields.items())
