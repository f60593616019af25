"""An evaluation, from questions to files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eaglebench.config.identity import run_identity
from eaglebench.evaluation.generation import AnswerGenerator
from eaglebench.report.entries import read_entry
from eaglebench.utils.hashing import hash_file
from tests.conftest import Outcome


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that are answered; the fourth, where there is a 0 at the end, is interrupted."""
    sizes: list[int] = []
    answer_batch = AnswerGenerator.answer_batch

    def counted(self: AnswerGenerator, questions: Any, limit: int) -> list[str]:
        if len(sizes) == 3:
            sizes.append(0)
            raise KeyboardInterrupt
        sizes.append(len(questions))
        return answer_batch(self, questions, limit)

    monkeypatch.setattr(AnswerGenerator, "answer_batch", counted)
    return sizes


def test_it_resumes_where_it_was_interrupted(run: Path, batches: list[int], command: Callable[..., Outcome]) -> None:
    """A batch of which answers were lost is answered again whole: what stands beside a question matters to rounding."""
    overrides = ["task=eval", f"run={run}", "evaluation.batch_size=4", "evaluation.other_question=false"]
    assert command(*overrides).code == 130
    assert batches[:3] == [4, 4, 4]
    kept = run / "eval/.answers-own.jsonl"
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(lines[: 1 + 10]) + '"half')
    outcome = command(*overrides)
    assert outcome.code == 0, outcome.err
    assert "answering: resuming with 10 of 21 answers cached" in outcome.out
    whole = [4] * 5 + [1]
    assert batches[4:] == whole[2:] + whole + whole  # once more with shuffled images, and once by the blind model
    again = (run / "eval/predictions.jsonl").read_text()
    assert [path.name for path in (run / "eval").glob(".answers*")] == []
    assert command(*overrides).code == 0
    assert (run / "eval/predictions.jsonl").read_text() == again


def test_predictions_say_what_they_are_scored_against(run: Path, command: Callable[..., Outcome]) -> None:
    assert command("task=eval", f"run={run}", "evaluation.shuffled=false").code == 0
    rows = [json.loads(line) for line in (run / "eval/predictions.jsonl").read_text().splitlines()]
    others = {"other_question", "other_answer"}
    assert {
        "id",
        "turn",
        "image",
        "family",
        "question",
        "reference",
        "references",
        "prediction",
        "score",
        "metric",
        "image_digest",
        "blind_trained",
        "meta",
    } == set(rows[0]) - others
    asked = [row for row in rows if others <= row.keys()]
    assert asked and all(row["other_question"] != row["question"] for row in asked)
    assert {(row["family"], row["metric"]) for row in rows} >= {("chart", "relaxed"), ("area", "exact")}
    assert all(hash_file(Path(row["image"])).startswith(row["image_digest"]) for row in rows)
    assert all(row["references"] == [row["reference"]] for row in rows)
    scores = json.loads((run / "eval/scores.json").read_text())
    assert "blind_shuffled" not in scores["overall"]
    named = {row["family"] for row in asked}
    assert {name for name, row in scores["families"].items() if "other_question" in row} == named
    assert scores["overall"]["low"] <= scores["overall"]["score"] <= scores["overall"]["high"]


def test_answers_can_be_searched_for_or_drawn(run: Path, command: Callable[..., Outcome]) -> None:
    def answers(generate: str) -> list[str]:
        alone = ("evaluation.shuffled=false", "evaluation.blind.steps=0")
        outcome = command("task=eval", f"run={run}", *alone, f"evaluation.generate={generate}")
        assert outcome.code == 0, outcome.err
        return [json.loads(line)["prediction"] for line in (run / "eval/predictions.jsonl").read_text().splitlines()]

    greedy = answers("null")
    assert greedy != answers("{num_beams: 4, min_new_tokens: 4}")
    drawn = answers("{do_sample: true, temperature: 2.0}")
    assert greedy != drawn == answers("{do_sample: true, temperature: 2.0}")
    refused = command("task=eval", f"run={run}", "evaluation.generate={luck: 3}")
    assert refused.code == 2
    assert "evaluation.generate={'luck': 3} cannot be used" in refused.err


@pytest.fixture
def files(run: Path, tmp_path: Path) -> Path:
    """A folder with files of benchmarks, two of which cannot be scored."""
    shutil.copy(json.loads((run / "predictions.jsonl").read_text().splitlines()[0])["image"], tmp_path / "a.png")

    def write(name: str, answers: list[str], count: int = 1, **more: Any) -> None:
        asked = {"image": "a.png", "question": "What is it?", "answers": answers, **more}
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps({"id": str(n), **asked}) + "\n" for n in range(count))
        )

    write("gqa", ["red"], 70)
    write("seed", ["B"], choices=["red", "blue"])
    write("ocrbench", ["red"], 70)
    write("vizwiz", ["red"])
    write("mme", ["yes"])
    return tmp_path


def benchmark_overrides(files: Path, *names: str) -> list[str]:
    """The overrides that evaluate on these benchmarks."""
    return ["evaluation=eagle11", *(f"evaluation.benchmarks.{name}={files}/{name}.jsonl" for name in names)]


def test_official_benchmarks_from_their_files(run: Path, files: Path, command: Callable[..., Outcome]) -> None:
    """Each is asked with its suffix, and scored with its metric, whole whatever data.limit says."""
    overrides = ["task=eval", f"run={run}", *benchmark_overrides(files, "gqa", "seed"), "data.limit=3"]
    outcome = command(*overrides, "evaluation.shuffled=true", "evaluation.blind.steps=1")
    assert outcome.code == 0, outcome.err
    first, last = (
        [json.loads(line) for line in (run / "benchmarks" / name / "predictions.jsonl").read_text().splitlines()]
        for name in ("gqa", "seed")
    )
    assert (first[0]["question"], len(first)) == ("What is it?\nAnswer the question using a single word or phrase.", 70)
    assert [row["question"] for row in last] == [
        "What is it?\nA. red\nB. blue\nAnswer with the option's letter from the given choices directly.",
    ]
    scores = json.loads((run / "benchmarks/scores.json").read_text())
    assert scores["families"].keys() == {"gqa", "seed"}
    for row in scores["families"].values():
        assert "figure" in row and row["blind"] == max(row["blind_shuffled"], row["blind_trained"])
    assert "eagle_average" not in scores


def test_benchmarks_that_are_asked_one_by_one_come_together(
    run: Path, files: Path, command: Callable[..., Outcome]
) -> None:
    """In the run's scores of benchmarks, and in the report; those of other weights are left behind."""
    for name in ("gqa", "seed"):
        outcome = command("task=eval", f"run={run}", *benchmark_overrides(files, name))
        assert outcome.code == 0, outcome.err
    scores = json.loads((run / "benchmarks/scores.json").read_text())
    assert scores["families"].keys() == {"gqa", "seed"}
    assert "blind" not in scores["overall"]
    assert not list(run.glob("benchmarks/*/.answers*"))
    entry = read_entry(run, run_identity, limit=0)
    assert entry.run is not None and {"gqa", "seed", "chart"} <= entry.run.scores["families"].keys()
    assert entry.run.scores["overall"] == json.loads((run / "scores.json").read_text())["overall"]
    (run / "benchmarks/scores.json").write_text(json.dumps({**scores, "of": "other weights"}))
    assert command("task=eval", f"run={run}", *benchmark_overrides(files, "seed")).code == 0
    assert json.loads((run / "benchmarks/scores.json").read_text())["families"].keys() == {"seed"}


def test_a_few_questions_of_a_benchmark_do_not_replace_all(
    run: Path, files: Path, command: Callable[..., Outcome]
) -> None:
    overrides = ["task=eval", f"run={run}", *benchmark_overrides(files, "gqa")]
    assert command(*overrides).code == 0
    whole = (run / "benchmarks/gqa/predictions.jsonl").read_text()
    assert command(*overrides, "fast=true").code == 0
    assert (run / "benchmarks/gqa/predictions.jsonl").read_text() == whole
    assert len((run / "benchmarks-fast/gqa/predictions.jsonl").read_text().splitlines()) == 64


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("vizwiz", "vizwiz, question 0: the metric vqa_words needs the answers of ten people to a question and got 1"),
        ("mme", "mme is aggregated by category, and the category of its questions is None"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_answered(
    run: Path, files: Path, batches: list[int], name: str, problem: str, command: Callable[..., Outcome]
) -> None:
    outcome = command("task=eval", f"run={run}", *benchmark_overrides(files, "gqa", name))
    assert (outcome.code, batches) == (2, [])
    assert problem in outcome.err


def test_questions_that_do_not_fit_are_refused_before_any_is_answered(
    run: Path, files: Path, batches: list[int], command: Callable[..., Outcome]
) -> None:
    """Those of all benchmarks before the first one is asked; a benchmark's own limit is shortened to the context."""
    line = {"id": "long", "image": "a.png", "question": "how many shapes " * 200, "answers": ["4"]}
    (files / "chartqa.jsonl").write_text(json.dumps(line) + "\n")
    outcome = command("task=eval", f"run={run}", *benchmark_overrides(files, "gqa", "chartqa"))
    assert (outcome.code, batches) == (2, [])
    assert "1 of 71 questions do not fit in llm.max_length=512" in outcome.err
    assert "(long: " in outcome.err
    outcome = command("task=eval", f"run={run}", "evaluation.max_new_tokens=500")
    assert (outcome.code, batches) == (2, [])
    assert "or set evaluation.overlong=shorten_answer" in outcome.err
    outcome = command("task=eval", f"run={run}", *benchmark_overrides(files, "seed"))
    assert (outcome.code, batches) == (0, [1])
    assert "answering: 1 of 1 answers are shortened to the" in outcome.out


def test_a_finished_benchmark_is_not_asked_again_for_another(
    run: Path, files: Path, batches: list[int], command: Callable[..., Outcome]
) -> None:
    overrides = ["task=eval", f"run={run}", *benchmark_overrides(files, "seed", "ocrbench"), "evaluation.batch_size=10"]
    assert command(*overrides).code == 130
    assert batches == [1, 10, 10, 0]
    outcome = command(*overrides)
    assert "answering: resuming with 20 of 70 answers cached" in outcome.out
    assert batches[4:] == [10] * 5


def test_weights_of_a_blind_model_matter_to_its_answers_alone(
    run: Path, batches: list[int], command: Callable[..., Outcome]
) -> None:
    """What was answered before is not lost when the blind model is left out."""
    alone = ("evaluation.shuffled=false", "evaluation.other_question=false")
    overrides = ["task=eval", f"run={run}", "evaluation.batch_size=11", *alone]
    assert command(*overrides).code == 130  # in the middle of the blind pass
    assert batches == [11, 10, 11, 0]
    outcome = command(*overrides, "evaluation.blind.steps=0")
    assert "answering: resuming with 21 of 21 answers cached" in outcome.out
    assert batches[4:] == []
