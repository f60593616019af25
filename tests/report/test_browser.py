"""The page in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.pages import EVIL, render_runs
from tests.helpers.run_folders import write_images, write_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of four runs: one of them says EVIL, one is damaged."""
    folder = tmp_path_factory.mktemp("report")
    images = write_images(folder / "images", 10)
    runs = [
        write_run(folder / "good", seed=0, skill=0.9, images=images, questions=40),
        write_run(folder / "fair", seed=1, skill=0.6, images=images, questions=40),
        write_run(folder / "evil", ["experts=[clip]"], skill=0.7, answer=EVIL),
        write_run(folder / "torn"),
    ]
    (runs[-1] / "scores.json").write_text("{")
    (folder / "index.html").write_text(render_runs(runs))
    return folder / "index.html"


@pytest.fixture
def page(browser: sync_api.Browser, report: Path) -> Iterator[sync_api.Page]:
    """The page, opened; whatever a browser complains of fails the test."""
    complaints: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.set_default_timeout(10_000)
    page.goto(report.as_uri())
    yield page
    page.close()
    assert complaints == []


def names(page: sync_api.Page) -> list[str]:
    return page.locator("#run-table tbody tr:visible .label").all_inner_texts()


def test_runs_are_sorted_by_a_column_with_the_keyboard_within_their_questions(page: sync_api.Page) -> None:
    """The run that says EVIL answered other questions, and the damaged one has no scores."""
    score = page.locator("#run-table").get_by_role("button", name="score")
    score.focus()
    page.keyboard.press("Enter")
    assert names(page) == ["good", "fair", "evil", "torn"]
    page.keyboard.press("Enter")
    assert names(page) == ["fair", "good", "evil", "torn"]
    assert page.locator("#run-table [aria-sort=ascending]").inner_text() == "score"
    page.locator("#run-table").get_by_role("button", name="run").click()
    assert names(page) == ["fair", "good", "evil", "torn"]
    assert page.locator("#run-table .group").all_inner_texts() == [
        "synthetic: 40 questions of 5 families",
        "synthetic: 20 questions of 5 families",
        "Runs without a place in a ranking",
    ]


def test_runs_are_filtered_by_searching_their_config_and_by_choices(page: sync_api.Page) -> None:
    page.fill("#run-search", "experts.sam.width GOOD")
    assert names(page) == ["good"]
    page.fill("#run-search", "")
    page.select_option("[data-filter=experts]", "sam")
    page.select_option("[data-filter=state]", "finished")
    assert names(page) == ["good", "fair"]
    assert page.inner_text("#run-count") == "2 of 4"
    assert page.locator("#run-table .group:visible").count() == 1


def test_two_runs_are_compared(page: sync_api.Page) -> None:
    page.get_by_role("button", name="Show good").click()
    page.get_by_role("button", name="Compare with fair").click()
    assert page.locator("#curves .curve path.first, #curves .curve path.second").count() == 2
    page.check("#differences")
    assert page.locator("#config tbody tr").all_inner_texts() == ["seed\t0\t1"]
    page.select_option("#outcome", "better")
    cards = page.locator(".card")
    assert cards.count() > 0
    for text in cards.all_inner_texts():
        assert "✓ yes" in text and "✗ no" in text
    page.select_option("#outcome", "differ")
    differ = page.locator(".card").count()
    page.select_option("#outcome", "worse")
    assert differ == cards.count() + int(page.evaluate(COUNT_BETTER))


COUNT_BETTER = """() => {
  const [one, other] = [chosenRun("first"), chosenRun("second")];
  return Object.keys(one.answers).filter((key) => one.answers[key][1] > other.answers[key][1]).length;
}"""


def test_predictions_are_browsed_with_their_images(page: sync_api.Page) -> None:
    page.select_option("#first", label="good")
    page.select_option("#outcome", "wrong")
    wrong = page.locator(".card")
    assert 0 < wrong.count() < 12
    assert all("✗ no" in text for text in wrong.all_inner_texts())
    assert page.evaluate("document.querySelector('.card img').naturalWidth") == 64
    page.select_option("#outcome", "all")
    assert wrong.count() == 24 and page.inner_text("#answer-count") == "40 of 40 here, of 40 in all"
    page.click("#more")
    assert wrong.count() == 40 and page.locator("#more").is_hidden()
    page.select_option("#family", "chart")
    assert wrong.count() == 8
    page.fill("#answer-search", "question 12?")
    assert wrong.count() == 1


def test_what_a_run_says_is_shown_and_not_obeyed(page: sync_api.Page) -> None:
    page.select_option("#first", label="evil")
    assert "onerror=alert(2)" in page.inner_text("#cards")
    assert page.locator("#cards script, #cards img").count() == 0
    page.select_option("#first", label="torn")
    assert "scores.json cannot be read" in page.inner_text("#problems")


@pytest.mark.parametrize("letter", ["A", "B"])
def test_choosing_a_run_brings_the_comparison_into_view(page: sync_api.Page, letter: str) -> None:
    page.locator("tr", has_text="fair").get_by_role("button", name={"A": "Show", "B": "Compare"}[letter]).click()
    title = page.get_by_role("heading", name="Compare runs")
    sync_api.expect(title).to_be_in_viewport()
    sync_api.expect(title).to_be_focused()
    said = page.locator("#chosen[role=status]")  # read out by screen readers
    assert said.get_attribute("aria-live") == "polite"
    assert f"{letter}: fair, score 0.600." in said.inner_text()


def test_runs_on_different_questions_are_not_compared_by_their_scores(page: sync_api.Page) -> None:
    warning = "They answered different questions: their scores cannot be compared."
    page.select_option("#first", label="good")
    page.select_option("#second", label="fair")
    assert warning not in page.inner_text("#chosen")
    page.select_option("#second", label="evil")
    assert warning in page.inner_text("#chosen")
    assert page.inner_text("#answer-count") == "0 of 0 here, answered by both"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_screen_in_both_schemes(browser: sync_api.Browser, report: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 400, "height": 800})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    page.close()
