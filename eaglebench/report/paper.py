"""The tables of Eagle's paper (arXiv 2408.15998), and the overrides that reproduce each row."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

TABLES = Path(__file__).with_name("paper.toml")
CLIP_SIDE = 448  # of Eagle's ablations, pixels
TILE = 336  # pixels
JOINT_STAGES = ("projector", "sft")
PRE_ALIGN = "pre_align"
CHANNEL_CONCAT = "channel_concat"


@dataclass(frozen=True)
class PaperSetting:
    """The settings of a row of the paper.

    Attributes:
        experts: names joined by `+`; the first is the base.
        fusion: name of the strategy.
        frozen: whether no expert trains after pre-alignment.
        pre_align: whether experts are pre-aligned.
        unlocked: whether experts also train in the projector stage.
        clip: side of CLIP's image at size=full, pixels.
        tiled: whether CLIP sees the image as tiles of 336 pixels.
        epochs: of supervised fine-tuning.
    """

    experts: str
    fusion: str = CHANNEL_CONCAT
    frozen: bool = False
    pre_align: bool = False
    unlocked: bool = False
    clip: int = CLIP_SIDE
    tiled: bool = False
    epochs: int = 1

    def overrides(self) -> list[str]:
        """The overrides of a command that trains a run with these settings."""
        stages = (PRE_ALIGN, *JOINT_STAGES) if self.pre_align else JOINT_STAGES
        wanted = {
            f"'experts=[{self.experts.replace('+', ',')}]'": True,
            f"fusion={self.fusion}": self.fusion != CHANNEL_CONCAT,
            f"'stages=[{','.join(stages)}]'": True,
            "stages.sft.lr.experts=0": self.frozen,
            "'stages.sft.lr.experts=${stages.sft.lr.fusion}'": not self.frozen,  # the tiny size has them frozen
            "'stages.projector.lr.experts=${stages.sft.lr.experts}'": self.unlocked,
            f"stages.sft.epochs={self.epochs}": self.epochs != 1,
            f"experts.clip.image_size={self.clip}": self.clip != CLIP_SIDE,
            "experts.clip.high_res=tile": self.tiled,
            f"experts.clip.native_size={TILE}": self.tiled,
        }
        return [override for override, included in wanted.items() if included]


@dataclass(frozen=True)
class PaperRow:
    """A row of one of the paper's tables.

    Attributes:
        printed: its cells, one for each column of the table.
        score: Eagle's average, of 1000.
        setting: its settings; None if no run can have them.
        unmatched: why no run can have its settings; empty if one can.
    """

    printed: Sequence[str]
    score: float
    setting: PaperSetting | None
    unmatched: str


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        name: its number, such as `Table 2`.
        title: what it compares.
        columns: the names of the printed cells.
        notes: its inconsistencies with other tables of the paper.
        rows: in the paper's order.
    """

    name: str
    title: str
    columns: Sequence[str]
    notes: Sequence[str]
    rows: Sequence[PaperRow]


def load_paper() -> list[PaperTable]:
    """The tables of the paper, from paper.toml."""
    with TABLES.open("rb") as file:
        tables = tomllib.load(file)["tables"]
    return [
        PaperTable(each["name"], each["title"], each["columns"], each["notes"], list(map(parse_row, each["rows"])))
        for each in tables
    ]


def parse_row(row: Mapping[str, Any]) -> PaperRow:
    """A row of paper.toml."""
    values = {field.name: row[field.name] for field in fields(PaperSetting) if field.name in row}
    setting = None if "unmatched" in row else PaperSetting(**values)
    return PaperRow(row["printed"], row["score"], setting, row.get("unmatched", ""))


def list_experts() -> list[str]:
    """The names of all experts in the paper's tables, sorted."""
    settings = [row.setting for table in load_paper() for row in table.rows if row.setting is not None]
    return sorted({name for setting in settings for name in setting.experts.split("+")})
