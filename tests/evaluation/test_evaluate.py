"""An evaluation from questions to files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eaglebench.evaluation.answer import Answerer
from tests.conftest import Outcome


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that are answered; the fourth, where there is a 0 at the end, is interrupted."""
    sizes: list[int] = []
    answer = Answerer.batch

    def counted(self: Answerer, asked: Any) -> list[str]:
        if len(sizes) == 3:
            sizes.append(0)
            raise KeyboardInterrupt
        sizes.append(len(asked))
        return answer(self, asked)

    monkeypatch.setattr(Answerer, "batch", counted)
    return sizes


def test_it_goes_on_where_it_was_interrupted(run: Path, batches: list[int], command: Callable[..., Outcome]) -> None:
    words = ["task=eval", f"run={run}", "evaluation.batch_size=4"]
    assert command(*words).code == 130
    assert batches[:3] == [4, 4, 4]
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    assert "answering: goes on from 12 of 42" in outcome.out
    assert sum(batches[:3]) + sum(batches[4:]) == 2 * 42  # once more for the shuffled images
    again = (run / "eval/predictions.jsonl").read_text()
    assert [path.name for path in (run / "eval").glob(".answers*")] == []
    assert command(*words).code == 0
    assert (run / "eval/predictions.jsonl").read_text() == again


def test_predictions_say_what_they_are_scored_against(run: Path, command: Callable[..., Outcome]) -> None:
    assert command("task=eval", f"run={run}", "evaluation.shuffled=false").code == 0
    rows = [json.loads(line) for line in (run / "eval/predictions.jsonl").read_text().splitlines()]
    assert {"id", "image", "family", "question", "reference", "references", "prediction", "score", "meta"} == set(
        rows[0]
    )
    assert all(row["references"] == [row["reference"]] for row in rows)
    scores = json.loads((run / "eval/scores.json").read_text())
    assert "blind" not in scores["overall"]
    assert scores["overall"]["low"] <= scores["overall"]["score"] <= scores["overall"]["high"]


def test_answers_can_be_searched_for_or_drawn(run: Path, command: Callable[..., Outcome]) -> None:
    def answers(generate: str) -> list[str]:
        outcome = command("task=eval", f"run={run}", "evaluation.shuffled=false", f"evaluation.generate={generate}")
        assert outcome.code == 0, outcome.err
        return [json.loads(line)["prediction"] for line in (run / "eval/predictions.jsonl").read_text().splitlines()]

    greedy = answers("null")
    assert greedy != answers("{num_beams: 4, length_penalty: -3.0}")
    drawn = answers("{do_sample: true, temperature: 2.0}")
    assert greedy != drawn == answers("{do_sample: true, temperature: 2.0}")
    refused = command("task=eval", f"run={run}", "evaluation.generate={luck: 3}")
    assert refused.code == 2
    assert "evaluation.generate={'luck': 3} cannot be used" in refused.err


def test_official_benchmarks_from_their_files(run: Path, tmp_path: Path, command: Callable[..., Outcome]) -> None:
    """Each is asked with its suffix, and scored with its metric."""
    image = json.loads((run / "predictions.jsonl").read_text().splitlines()[0])["image"]
    shutil.copy(image, tmp_path / "a.png")
    asked = {"id": "1", "image": "a.png", "question": "What is it?", "answers": ["red"]}
    (tmp_path / "gqa.jsonl").write_text(json.dumps(asked) + "\n")
    chosen = {"id": "1", "image": "a.png", "question": "Which?", "answers": ["B"], "choices": ["red", "blue"]}
    (tmp_path / "seed.jsonl").write_text(json.dumps(chosen) + "\n")
    files = [f"evaluation.benchmarks.{name}={tmp_path}/{name}.jsonl" for name in ("gqa", "seed")]
    outcome = command("task=eval", f"run={run}", "evaluation=eagle11", "evaluation.shuffled=true", *files)
    assert outcome.code == 0, outcome.err
    rows = [json.loads(line) for line in (run / "eval/predictions.jsonl").read_text().splitlines()]
    assert [row["question"] for row in rows] == [
        "What is it?\nAnswer the question using a single word or phrase.",
        "Which?\nA. red\nB. blue\nAnswer with the option's letter from the given choices directly.",
    ]
    scores = json.loads((run / "eval/scores.json").read_text())
    assert scores["families"].keys() == {"gqa", "seed"}
    assert all("figure" in row and "blind_shuffled" in row for row in scores["families"].values())
    assert "eagle_average" not in scores
