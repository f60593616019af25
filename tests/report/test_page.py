"""The page: one file, with nothing from runs but text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eaglebench.report.predictions import BUDGET
from tests.helpers.pages import EVIL, render_runs
from tests.helpers.run_folders import write_images, write_run


class Tags(HTMLParser):
    """Counts elements, and keeps what scripts hold and which addresses are named."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, text: str) -> None:
        if self.found and self.found[-1][0] == "script" and text.strip():
            self.scripts.append(text)


def data_of(text: str) -> dict[str, Any]:
    return json.loads(Tags(text).scripts[0])


def test_what_runs_say_is_never_markup(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a<script>x", answer=EVIL)
    config = (folder / "config.yaml").read_text() + f"note: {json.dumps(EVIL)}\n"
    (folder / "config.yaml").write_text(config)
    scores = json.loads((folder / "scores.json").read_text())
    scores["families"][EVIL] = {"score": 0.5}
    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "metrics.csv").write_text(f'step,"{EVIL}"\n1,0.5\n')
    text = render_runs([folder])
    tags = Tags(text)
    assert [tag for tag, _ in tags.found].count("script") == 2
    assert [tag for tag, _ in tags.found].count("img") == 0
    assert not [attrs for _, attrs in tags.found if any(name.startswith("on") for name in attrs)]
    run = data_of(text)["runs"][0]
    assert (run["name"], run["config"]["note"], list(run["curves"])) == ("a<script>x", EVIL, [EVIL])


def test_only_the_script_of_the_page_may_run_and_nothing_is_fetched(tmp_path: Path) -> None:
    text = render_runs([write_run(tmp_path / "a", images=write_images(tmp_path / "images", 2))])
    tags = Tags(text)
    (policy,) = [attrs["content"] for tag, attrs in tags.found if attrs.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(tags.scripts[1].encode()).digest()).decode()
    assert policy is not None and "default-src 'none'" in policy and f"script-src 'sha256-{digest}';" in policy
    addresses = [attrs.get("src") or attrs.get("href") for _, attrs in tags.found]
    assert all(address.startswith(("#", "data:")) for address in addresses if address)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_folders_with_faults_are_listed_with_them(tmp_path: Path) -> None:
    broken = write_run(tmp_path / "broken")
    (broken / "scores.json").write_text("{")
    (broken / "metrics.csv").write_text("step,loss\nx,y\n")
    (broken / "predictions.jsonl").write_text("{\n")
    text = render_runs([broken])
    for problem in (
        "scores.json cannot be read",
        "metrics.csv cannot be read",
        "1 lines cannot be read",
        "No run is finished",
    ):
        assert problem in text


@pytest.mark.slow
def test_two_hundred_runs_fit_into_thirty_megabytes(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", 60, side=160)
    folders = [write_run(tmp_path / f"run-{i}", seed=i, images=images, questions=70) for i in range(200)]
    text = render_runs(folders)
    assert len(text) < 10_000_000
    data = data_of(text)
    assert len(data["runs"]) == 200 and len(data["questions"]) == 60 and len(data["thumbnails"]) <= 60
    assert "Of 200 runs, 60 predictions each are here" in text
    # Runs with images of their own may add as much as the budget of thumbnails.
    assert len(text) + BUDGET < 30_000_000
