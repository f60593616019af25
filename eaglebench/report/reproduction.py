"""The paper's tables beside the runs that have the settings of their rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eaglebench.evaluation.benchmarks import BENCHMARKS, EAGLE11, EAGLE_AVERAGE
from eaglebench.report.entries import RunEntry
from eaglebench.report.leaderboard import format_scores, to_markdown
from eaglebench.report.paper import CLIP_SIDE, JOINT_STAGES, PRE_ALIGN, PaperRow, PaperSetting, PaperTable, load_paper
from eaglebench.report.rankings import Ranking
from eaglebench.report.run_files import is_number
from eaglebench.report.settings import OVERALL, Setting

# Gives the shipped config of the size, `fast` and `compat` of a run's config, with all experts and stages of the paper.
ShippedConfig = Callable[[Mapping[str, Any]], Mapping[str, Any]]

TITLE = "Reproduction of the paper's tables"
DIFFERENCES = ", ".join(f"{name} ({BENCHMARKS[name].differs})" for name in EAGLE11 if BENCHMARKS[name].differs)
SCALES = (
    "`published` is the mean of eleven benchmarks on a scale of 0 to 1000, with Vicuna-7B. `ours` is the mean over a "
    "run's own held-out families on a scale of 0 to 1, with its own language model and data: compare orders, not "
    "scores. For runs with the scores of the eleven benchmarks (`evaluation=eagle11`), `ours` is their mean on the "
    f"paper's scale, and marked so; not scored as in the paper are {DIFFERENCES}. "
    "A dash: no run has the settings of the row. The last column has the overrides for such a run. "
    "Image sides are those of `size=full`; at `size=tiny`, where CLIP has 64 for 448, give 48 for 336 and 96 for 672."
)


@dataclass(frozen=True)
class Reproduction:
    """A table of the paper beside our runs.

    Attributes:
        table: as published.
        rows: a header and a line for each row: its printed cells, `published`, `ours`, and `overrides`.
    """

    table: PaperTable
    rows: Sequence[Sequence[str]]


def reproduce_paper(
    rankings: Sequence[Ranking], entries: Mapping[str, RunEntry], shipped: ShippedConfig
) -> list[Reproduction]:
    """Every table of the paper beside our runs.

    Args:
        rankings: of the finished runs. If there are several, every score is followed by its questions.
        entries: the run folders by name.
        shipped: image sides and stage lengths count relative to its config.
    """
    ours = [
        (setting, ranking.title, infer_paper_setting(entries[setting.runs[0].name].config, shipped))
        for ranking in rankings
        for setting in ranking.settings
    ]

    def find_ours(row: PaperRow) -> str:
        if row.setting is None:
            return f"- ({row.unmatched})"
        wanted = sort_experts(row.setting)
        matches = [
            format_match(setting, entries[setting.runs[0].name].config, title if len(rankings) > 1 else "")
            for setting, title, own in ours
            if own == wanted
        ]
        return "; ".join(matches) or "-"

    def build_line(row: PaperRow) -> list[str]:
        overrides = f"`{' '.join(row.setting.overrides())}`" if row.setting is not None else ""
        return [*row.printed, f"{row.score:.1f}", find_ours(row), overrides]

    return [
        Reproduction(table, [[*table.columns, "published", "ours", "overrides"], *map(build_line, table.rows)])
        for table in load_paper()
    ]


def format_match(setting: Setting, config: Mapping[str, Any], questions: str) -> str:
    """The score of a setting, mean ± standard deviation, with its size, seeds and `questions`, if they are given, and
    with its scale if the paper's.
    """
    score, scale = format_score(setting)
    fast = ", fast" if config.get("fast") else ""
    seeds = f"{len(setting.runs)} seed{'s' if len(setting.runs) > 1 else ''}"
    return f"{score} ({config['size']}{fast}, {seeds}{scale}{f', {questions}' if questions else ''})"


def format_score(setting: Setting) -> tuple[str, str]:
    """The score of a setting, and a remark on its scale: Eagle's average if all runs have one, or the overall score."""
    values = [run.scores.get(EAGLE_AVERAGE) for run in setting.runs]
    averages = [value for value in values if is_number(value)]
    if len(averages) < len(values):
        return format_scores(setting.values(OVERALL)), ""
    return format_scores(averages, digits=1), ", the paper's scale"


def sort_experts(setting: PaperSetting) -> PaperSetting:
    """The setting with the experts after the base in alphabetical order, which plays no part."""
    base, *others = setting.experts.split("+")
    return replace(setting, experts="+".join([base, *sorted(others)]))


def infer_paper_setting(config: Mapping[str, Any], shipped: ShippedConfig) -> PaperSetting | None:
    """The settings of a run in the paper's terms, with sorted experts; None if the paper has no such settings.

    Image sides and stage lengths count relative to the shipped ones of the run's own size, so that a run at size=tiny
    matches too.
    """
    try:
        return match_config(config, shipped(config))
    except (KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None  # an expert without an image side of its own, or a config of another version


def match_config(config: Mapping[str, Any], shipped: Mapping[str, Any]) -> PaperSetting | None:
    """`infer_paper_setting` of a config with all fields; KeyError, TypeError and the like say that some are missing."""
    experts, stages = config["experts"], config["stages"]
    joint = [name for name in stages if name != PRE_ALIGN]
    if joint != list(JOINT_STAGES) or any(has_adapters(part) for part in (*experts.values(), config["llm"])):
        return None
    trained = {
        stage: {
            not expert["frozen"] and expert.get("lr") != 0 and stages[stage]["lr"]["experts"] > 0
            for expert in experts.values()
        }
        for stage in JOINT_STAGES
    }
    if any(len(each) > 1 for each in trained.values()):
        return None  # the paper freezes all experts or none
    sides = {name: experts[name]["image_size"] / shipped["experts"][name]["image_size"] for name in experts}
    clip = sides.pop("clip", 1)
    tiled = [name for name, expert in experts.items() if expert.get("high_res") == "tile"]
    lengths = {stage: get_length(stages[stage]) / get_length(shipped["stages"][stage]) for stage in JOINT_STAGES}
    if any(side != 1 for side in sides.values()) or tiled not in ([], ["clip"]):
        return None
    if lengths["projector"] != 1 or not lengths["sft"].is_integer():
        return None
    return sort_experts(
        PaperSetting(
            experts="+".join(experts),
            fusion=config["fusion"]["name"],
            frozen=trained["sft"] == {False},
            pre_align=PRE_ALIGN in stages and not all(expert["aligned"] for expert in experts.values()),
            unlocked=trained["projector"] == {True},
            clip=round(clip * CLIP_SIDE),
            tiled=bool(tiled),
            epochs=int(lengths["sft"]),
        )
    )


def has_adapters(part: Mapping[str, Any]) -> bool:
    """Whether a part trains through low-rank adapters."""
    return bool(part.get("lora", {}).get("rank", 0))


def get_length(stage: Mapping[str, Any]) -> float:
    """The length of a stage in epochs, or in steps if it has no epochs."""
    length: float = stage["epochs"] or stage["steps"]
    return length


def to_markdown_page(reproductions: Sequence[Reproduction]) -> str:
    """All tables as one Markdown text."""
    parts = [f"# {TITLE}", f"Eagle, arXiv 2408.15998. {SCALES}"]
    for each in reproductions:
        notes = "\n".join(f"- {note}" for note in each.table.notes)
        parts += [f"## {each.table.name}: {each.table.title}", to_markdown(each.rows), notes]
    return "\n\n".join(parts) + "\n"
