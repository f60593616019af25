"""Plots, each where there are data for it."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from eaglebench.report.entries import RunEntry
from eaglebench.report.plots import Plot, draw_plots
from eaglebench.report.rankings import rank_runs
from eaglebench.report.settings import ScoredRun
from tests.helpers.runs import make_questions

FAMILIES = ("chart", "counting", "text")


def run(name: str, score: float, families: tuple[str, ...] = FAMILIES, seed: int = 0, **fields: str) -> ScoredRun:
    setting = {"experts": "clip", "stages": "projector+sft", "fusion.name": "channel_concat", **fields}
    rows = {family: {"score": score} for family in families}
    return ScoredRun(
        name, seed, setting, {"overall": {"score": score, "low": score - 0.1, "high": score + 0.1}, "families": rows}
    )


def drawn(*runs: ScoredRun, parameters: tuple[int | None, ...] = (), selections: dict | None = None) -> dict[str, Plot]:
    rankings, _ = rank_runs(runs)
    costs = [*parameters, *[None] * len(runs)]
    entries = {each.name: RunEntry(Path(each.name), {}, {}, each, costs[i], None, ()) for i, each in enumerate(runs)}
    return {plot.name: plot for plot in draw_plots(rankings, entries, selections or {})}


def test_nothing_is_drawn_without_data() -> None:
    assert drawn(run("a", 0.5, ("chart",))) == {}
    assert drawn(selections={"selection-x": []}) == {}


def test_each_plot_is_drawn_where_there_are_data() -> None:
    both = run("a", 0.5), run("b", 0.6, **{"fusion.name": "sequence_append"})
    assert set(drawn(*both)) == {"fusion", "families"}
    assert set(drawn(*both, parameters=(1000, 2000))) == {"fusion", "families", "cost-parameters"}
    aligned = run("b", 0.6, stages="pre_align+projector+sft", **{"stages.pre_align.steps": "300"})
    assert set(drawn(run("a", 0.5), aligned)) == {"pre-alignment", "families"}
    longer = run("b", 0.6, stages="pre_align+projector+sft", **{"stages.sft.steps": "300"})
    assert "pre-alignment" not in drawn(
        run("a", 0.5, **{"stages.sft.steps": "200"}), longer
    )  # more than the stage differs
    rounds = [{"round": 0, "kept": ["clip"], "candidates": [{"experts": ["clip"], "score": 0.5, "low": None}]}]
    assert set(drawn(selections={"selection-x": rounds})) == {"selection-x"}


def test_a_selection_names_what_each_set_has_more_or_less_than_the_one_kept_before() -> None:
    rounds = [
        {"round": 0, "kept": ["clip", "sam"], "candidates": [{"experts": ["clip", "sam"], "score": 0.5}]},
        {"round": 1, "kept": ["clip"], "candidates": [{"experts": [name], "score": 0.4} for name in ("clip", "sam")]},
        {"round": 2, "kept": ["clip"], "candidates": [{"experts": ["clip", "eva02"], "score": 0.3}]},
    ]
    text = "".join(ElementTree.fromstring(drawn(selections={"selection-x": rounds})["selection-x"].svg).itertext())
    assert all(f"{words}\n" in text for words in ("clip+sam", "- sam", "- clip", "+ eva02"))


def test_plots_are_svg_in_the_ink_of_the_page_and_names_are_text_in_them() -> None:
    evil = "<script>$x_1$</script>"
    found = drawn(run("a", 0.5), run("b", 0.6, **{"fusion.name": evil}), parameters=(1000, 2000))
    assert len(found) == 3
    for plot in found.values():
        root = ElementTree.fromstring(plot.svg)
        assert not [element for element in root.iter() if element.tag.endswith("script")]
        assert "currentColor" in plot.svg
    assert evil in "".join(ElementTree.fromstring(found["fusion"].svg).itertext())


def test_ticks_of_a_logarithmic_axis_are_plain_numbers() -> None:
    """Text stays text, so that mathtext would be printed as it is written."""
    found = drawn(run("a", 0.5), run("b", 0.6, **{"fusion.name": "sva"}), parameters=(1000, 5_000_000))
    texts = {text.strip() for text in ElementTree.fromstring(found["cost-parameters"].svg).itertext()}
    assert {"1k", "10k", "100k", "1M"} <= texts
    assert not [text for text in texts if "$" in text or "\\" in text]


def test_each_ranking_of_several_settings_has_plots_of_its_own() -> None:
    others = make_questions("my.json", chart="others")
    both = run("a", 0.5), run("b", 0.6, **{"fusion.name": "sva"})
    apart = [replace(one, name=f"{one.name}-own", questions=others) for one in both]
    titles = [plot.title for plot in drawn(*both, *apart).values()]
    assert len(titles) == 4 and len(set(titles)) == 4
    assert [title for title in titles if title == "Score by fusion, my.json: 20 questions of 1 family"]
    assert len(drawn(*both, apart[0])) == 2  # a single setting is compared with nothing


def test_ids_of_one_plot_are_none_of_another_plot_on_the_page() -> None:
    found = drawn(run("a", 0.5), run("b", 0.6, **{"fusion.name": "deformable"}), parameters=(1, 2))
    clips = [set(re.findall(r'clipPath id="(\w+)"', plot.svg)) for plot in found.values()]
    assert all(clips) and len(set.union(*clips)) == sum(map(len, clips))
