"""The first screen of the page, whatever the runs are called and have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eaglebench.config.identity import run_identity
from eaglebench.report.entries import read_entry
from eaglebench.report.page import render_page
from eaglebench.report.plots import draw_plots
from eaglebench.report.rankings import rank_runs
from tests.helpers.many_runs import write_many_runs

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

FIRST_SCREEN = ("experts", "fusion", "data", "score", "interval", "n", "over no image")
SIZES = ((1600, 1000), (800, 1000), (400, 800))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of some forty runs of every kind."""
    folder = tmp_path_factory.mktemp("report")
    entries = [read_entry(run, run_identity, limit=20) for run in write_many_runs(folder / "results")]
    rankings, _ = rank_runs(entry.run for entry in entries if entry.run is not None and entry.finished)
    plots = list(draw_plots(rankings, {entry.name: entry for entry in entries}, {}))
    (folder / "index.html").write_text(render_page(entries, rankings, plots, [], {}, 20))
    return folder / "index.html"


@pytest.fixture
def page(browser: sync_api.Browser, report: Path) -> Iterator[sync_api.Page]:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.goto(report.as_uri())
    yield page
    page.close()


@pytest.mark.parametrize("table", [".ranking table", "#run-table"])
def test_the_score_is_on_the_first_screen_without_scrolling_sideways(page: sync_api.Page, table: str) -> None:
    columns = page.locator(table).first.locator("thead th")
    named = dict(zip(columns.all_inner_texts(), columns.all(), strict=True))
    for name in FIRST_SCREEN:
        box = named[name].bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 1600, name
    assert list(named).index("fields that differ") > list(named).index("over no image")
    first = page.locator(".ranking tbody tr").first.bounding_box()
    assert first is not None and first["y"] + first["height"] <= 1000


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_page_is_never_wider_than_the_screen(page: sync_api.Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.locator("#run-table [data-pick=second]").last.click()  # long names below
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_what_differs_is_folded_and_presets_are_nowhere(page: sync_api.Page) -> None:
    differing = page.locator(".ranking .fields dt")
    assert not differing.first.is_visible()
    assert "stages.sft.steps" in differing.all_text_contents()
    assert not [name for name in differing.all_text_contents() if name.startswith("presets")]
    page.fill("#config-search", "presets")
    assert page.inner_text("#config-count").startswith("0 of ")


def test_axes_have_plain_numbers(page: sync_api.Page) -> None:
    """Text of a plot stays text, so that mathtext would be printed as it is written."""
    ticks = page.locator("figure[id^=plot-cost-parameters] svg text").all_text_contents()
    assert {"1k", "10k", "100k", "1M"} <= {text.strip() for text in ticks}
    texts = page.locator("svg text").all_text_contents()
    assert not [text for text in texts if "$" in text or "mathdefault" in text]
