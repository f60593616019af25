"""Which runs have the settings of the paper's rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eaglebench.report.entries import RunEntry
from eaglebench.report.paper import PaperSetting, load_paper
from eaglebench.report.rankings import rank_runs
from eaglebench.report.reproduction import (
    Reproduction,
    infer_paper_setting,
    reproduce_paper,
    sort_experts,
    to_markdown_page,
)
from eaglebench.report.settings import ScoredRun
from eaglebench.tasks.report import compose_shipped
from tests.helpers.run_folders import resolve_config

SETTINGS = sorted(
    {row.setting for table in load_paper() for row in table.rows if row.setting is not None},
    key=lambda setting: (len(setting.experts), str(setting)),
)
# The first of each kind whatever its experts; the others take a minute.
KINDS = {tuple(list(vars(setting).values())[1:]): setting for setting in reversed(SETTINGS)}


UNLOCKED = "stages.sft.lr.experts=1e-3"


def infer(*overrides: str) -> PaperSetting | None:
    return infer_paper_setting(resolve_config(*overrides), compose_shipped)


def unquote(setting: PaperSetting) -> list[str]:
    """The overrides of a row as a program takes them."""
    return [override.strip("'") for override in setting.overrides()]


def ours(reproductions: list[Reproduction], table: str) -> list[str]:
    """The column `ours` of a table."""
    (found,) = [each for each in reproductions if each.table.name == table]
    header, *rows = found.rows
    return [row[header.index("ours")] for row in rows]


@pytest.mark.parametrize("setting", KINDS.values(), ids=lambda setting: " ".join(setting.overrides()))
def test_the_overrides_of_a_row_make_a_run_of_its_settings(setting: PaperSetting) -> None:
    assert infer("size=full", *unquote(setting)) == sort_experts(setting)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: " ".join(setting.overrides()))
def test_so_do_those_of_every_row_at_both_sizes(setting: PaperSetting) -> None:
    assert infer("size=full", *unquote(setting)) == sort_experts(setting)
    if setting.clip == 448 and setting.epochs == 1:  # other numbers at the tiny size
        assert infer(*unquote(setting)) == sort_experts(setting)


def test_the_order_of_the_experts_after_the_base_plays_no_part() -> None:
    assert sort_experts(PaperSetting("sam+eva02+clip")) == PaperSetting("sam+clip+eva02")


def test_sides_and_lengths_of_the_tiny_size_count_as_shares() -> None:
    clip = ["experts=[clip]", "stages=[projector,sft]"]
    found = infer(*clip, UNLOCKED, "experts.clip.image_size=96", "stages.sft.steps=1800")
    assert found == PaperSetting("clip", clip=672, epochs=2)


@pytest.mark.parametrize(
    "override",
    [
        "experts.sam.frozen=true",
        "experts.sam.image_size=64",
        "experts.clip.lora.rank=4",
        "stages=[sft]",
        "stages.sft.steps=10",
    ],
)
def test_settings_that_the_paper_does_not_have_match_no_row(override: str) -> None:
    assert infer(UNLOCKED, override) is None
    assert infer_paper_setting({"experts": {"mine": {}}}, compose_shipped) is None


def test_runs_stand_beside_the_rows_whose_settings_they_have() -> None:
    scores: Mapping[str, Any] = {"overall": {"score": 0.5}, "families": {"x": {"score": 0.5}}}
    configs = {
        "a": resolve_config(UNLOCKED, "stages=[projector,sft]"),
        "b": resolve_config(UNLOCKED, "stages=[projector,sft]", "seed=1"),
        "c": resolve_config(UNLOCKED, "stages=[projector,sft]", "fast=true"),
    }
    runs = [
        ScoredRun("a", 0, {"experts": "clip+sam"}, scores),
        ScoredRun("b", 1, {"experts": "clip+sam"}, {**scores, "overall": {"score": 0.6}}),
        ScoredRun("c", 0, {"experts": "fast"}, scores),
    ]
    rankings, _ = rank_runs(runs)
    entries = {name: RunEntry(Path(name), of, {}, None, None, None, ()) for name, of in configs.items()}
    reproductions = reproduce_paper(rankings, entries, compose_shipped)
    cells = ours(reproductions, "Table 5")[:4]
    assert cells == ["-", "-", "0.550 ± 0.071 (tiny, 2 seeds); 0.500 (tiny, fast, 1 seed)", "-"]
    text = to_markdown_page(reproductions)
    assert "| SAM | yes | no | 662.5 | 0.550 ± 0.071 (tiny, 2 seeds);" in text
    assert "compare orders, not scores" in text
    assert "not scored as in the paper are vizwiz (the released models were scored on the test server" in text


def test_runs_with_the_eleven_benchmarks_are_on_the_scale_of_the_paper() -> None:
    scores = {"overall": {"score": 0.68}, "families": {"gqa": {"score": 0.6}}, "eagle_average": 681.54}
    rankings, _ = rank_runs([ScoredRun("a", 0, {"experts": "clip+convnext"}, scores)])
    config = resolve_config(UNLOCKED, "experts=[clip,convnext]", "stages=[projector,sft]")
    entries = {"a": RunEntry(Path("a"), config, {}, None, None, None, ())}
    reproductions = reproduce_paper(rankings, entries, compose_shipped)
    assert ours(reproductions, "Table 4")[1] == "681.5 (tiny, 1 seed, the paper's scale)"
