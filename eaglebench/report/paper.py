"""The tables of Eagle's paper, and which runs have the settings of their rows."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from eaglebench.evaluation.benchmarks import BENCHMARKS, EAGLE11
from eaglebench.evaluation.scoring import EAGLE_AVERAGE
from eaglebench.report.entries import Entry, is_number
from eaglebench.report.leaderboard import markdown, shown
from eaglebench.report.settings import OVERALL, Setting

FIGURES = Path(__file__).with_name("published.toml")
CLIP_SIDE = 448  # of Eagle's ablations
TILE = 336
JOINT = ("projector", "sft")
DIFFERING = ", ".join(f"{name} ({BENCHMARKS[name].differs})" for name in EAGLE11 if BENCHMARKS[name].differs)
SCALES = (
    "`published` is the mean of eleven benchmarks on a scale of 0 to 1000, with Vicuna-7B; `ours` is the mean over a run's own held-out "
    "families on a scale of 0 to 1, with its own language model and data: compare orders, not figures. Of runs that were asked the eleven "
    "benchmarks (`evaluation=eagle11`), `ours` is their mean on the paper's scale, and says so; "
    f"not quite as in the paper are {DIFFERING}. "
    "A dash: no run has the settings of the row; the last column is the command's part that makes one. "
    "Sides are those of `size=full`; at `size=tiny`, where CLIP has 64 for 448, give 48 for 336 and 96 for 672."
)


@dataclass(frozen=True)
class Meaning:
    """The settings that a row of the paper stands for; published.toml says what each field is."""

    experts: str
    fusion: str = "channel_concat"
    frozen: bool = False
    pre_align: bool = False
    unlocked: bool = False
    clip: int = CLIP_SIDE
    tiled: bool = False
    epochs: int = 1

    def overrides(self) -> list[str]:
        """What the command line of such a run says."""
        stages = ("pre_align", *JOINT) if self.pre_align else JOINT
        said = {
            f"'experts=[{self.experts.replace('+', ',')}]'": True,
            f"fusion={self.fusion}": self.fusion != "channel_concat",
            f"'stages=[{','.join(stages)}]'": True,
            "stages.sft.lr.experts=0": self.frozen,
            "'stages.projector.lr.experts=${stages.sft.lr.experts}'": self.unlocked,
            f"stages.sft.epochs={self.epochs}": self.epochs != 1,
            f"experts.clip.image_size={self.clip}": self.clip != CLIP_SIDE,
            "experts.clip.high_res=tile": self.tiled,
            f"experts.clip.native_size={TILE}": self.tiled,
        }
        return [override for override, wanted in said.items() if wanted]


@dataclass(frozen=True)
class Row:
    """A row of a table: its printed cells, its score, and what it means; or None with the reason in `apart`."""

    printed: Sequence[str]
    score: float
    meaning: Meaning | None
    apart: str


@dataclass(frozen=True)
class Table:
    """A table of the paper with its own inconsistencies in `notes`."""

    name: str
    title: str
    columns: Sequence[str]
    notes: Sequence[str]
    rows: Sequence[Row]


def published() -> list[Table]:
    """The paper's tables, as published.toml has them."""
    with FIGURES.open("rb") as file:
        tables = tomllib.load(file)["tables"]
    return [
        Table(each["name"], each["title"], each["columns"], each["notes"], list(map(row_of, each["rows"])))
        for each in tables
    ]


def row_of(row: Mapping[str, Any]) -> Row:
    """A row from its TOML."""
    said = {field.name: row[field.name] for field in fields(Meaning) if field.name in row}
    meaning = None if "apart" in row else Meaning(**said)
    return Row(row["printed"], row["score"], meaning, row.get("apart", ""))


def meaning_of(config: Mapping[str, Any]) -> Meaning | None:
    """What a run's config means in the paper's terms; None where the paper has no such terms.

    Sides and lengths count as shares of those that the config's own size usually has.
    """
    try:
        return understood(config)
    except (KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None  # an expert without usual numbers, or a config of another version


def understood(config: Mapping[str, Any]) -> Meaning | None:
    """`meaning_of` a config that has every field."""
    experts, stages, size = config["experts"], config["stages"], config["size"]
    usual = {name: config["presets"][name][size] for name in experts}
    joint = [name for name in stages if name != "pre_align"]
    if joint != list(JOINT) or any(of_lora(part) for part in (*experts.values(), config["llm"])):
        return None
    trained = {
        stage: [not expert["frozen"] and expert.get("lr") != 0 and stages[stage]["lr"]["experts"] > 0 for expert in experts.values()]
        for stage in JOINT
    }  # fmt: skip
    if any(len(set(each)) > 1 for each in trained.values()):
        return None  # the paper freezes all experts or none
    shares = {name: experts[name]["image_size"] / usual[name]["image_size"] for name in experts if name != "clip"}
    if any(share != 1 for share in shares.values()):
        return None
    clip = experts["clip"]["image_size"] / usual["clip"]["image_size"] if "clip" in experts else 1
    tiled = [name for name, expert in experts.items() if expert.get("high_res") == "tile"]
    long = {stage: length(stages[stage]) / length(config["presets"][stage][size]) for stage in JOINT}
    if long["projector"] != 1 or tiled not in ([], ["clip"]) or not long["sft"].is_integer():
        return None
    base, *others = experts
    return Meaning(
        experts="+".join([base, *sorted(others)]),
        fusion=config["fusion"]["name"],
        frozen=not trained["sft"][0],
        pre_align="pre_align" in stages and not all(expert["aligned"] for expert in experts.values()),
        unlocked=trained["projector"][0],
        clip=round(clip * CLIP_SIDE),
        tiled=bool(tiled),
        epochs=int(long["sft"]),
    )


def of_lora(part: Mapping[str, Any]) -> bool:
    """Whether a part trains through adapters."""
    return bool(part.get("lora", {}).get("rank", 0))


def length(stage: Mapping[str, Any]) -> float:
    """Epochs, or steps where there are none."""
    return stage["epochs"] or stage["steps"]


def ours(row: Row, settings: Sequence[Setting], entries: Mapping[str, Entry]) -> str:
    """The score of each setting that means a row: mean ± standard deviation, its size, and the number of its seeds."""
    if row.meaning is None:
        return f"- ({row.apart})"
    base, *others = row.meaning.experts.split("+")
    wanted = replace(row.meaning, experts="+".join([base, *sorted(others)]))
    cells = []
    for setting in settings:
        config = entries[setting.runs[0].name].config
        if meaning_of(config) == wanted:
            figure, scale = figure_of(setting)
            fast = ", debug=fast" if config.get("debug") == "fast" else ""
            seeds = f"{len(setting.runs)} seed{'s' if len(setting.runs) > 1 else ''}"
            cells.append(f"{figure} ({config['size']}{fast}, {seeds}{scale})")
    return "; ".join(cells) or "-"


def figure_of(setting: Setting) -> tuple[str, str]:
    """The mean score of a setting and what to say of its scale: the paper's, where every run has the mean of its benchmarks."""
    found = [run.scores.get(EAGLE_AVERAGE) for run in setting.runs]
    figures = [figure for figure in found if is_number(figure)]
    if len(figures) < len(found):
        return shown(setting.values(OVERALL), False), ""
    return shown(figures, False, digits=1), ", the paper's scale"


def beside_ours(settings: Sequence[Setting], entries: Mapping[str, Entry]) -> list[tuple[Table, list[list[str]]]]:
    """Every table of the paper with the cells of its rows: as printed, published, ours, and the overrides that it means."""
    return [
        (
            table,
            [
                [*table.columns, "published", "ours", "overrides"],
                *(
                    [
                        *row.printed,
                        f"{row.score:.1f}",
                        ours(row, settings, entries),
                        f"`{' '.join(row.meaning.overrides())}`" if row.meaning else "",
                    ]
                    for row in table.rows
                ),
            ],
        )
        for table in published()
    ]


def paper_markdown(tables: Sequence[tuple[Table, list[list[str]]]]) -> str:
    """The tables as one Markdown text."""
    parts = ["# The paper's tables, and ours beside them", f"Eagle, arXiv 2408.15998. {SCALES}"]
    for table, rows in tables:
        parts += [f"## {table.name}: {table.title}", markdown(rows), "\n".join(f"- {note}" for note in table.notes)]
    return "\n\n".join(parts) + "\n"
