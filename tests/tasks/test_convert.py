"""task=convert, and evaluating a finished run on the file that it writes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from eaglebench.evaluation.benchmarks import EAGLE11, compute_eagle_average
from tests.conftest import Outcome
from tests.helpers.releases import encode_png


@pytest.fixture
def gqa(tmp_path: Path) -> Path:
    """A folder with two questions of GQA."""
    question = {"question": "Is it red?", "imageId": "n1", "answer": "yes"}
    (tmp_path / "gqa").mkdir()
    (tmp_path / "gqa/testdev_balanced_questions.json").write_text(json.dumps({"1": question, "2": question}))
    Image.new("RGB", (8, 8)).save(tmp_path / "gqa/n1.jpg")
    return tmp_path / "gqa"


def test_a_benchmark_becomes_a_file(command: Callable[..., Outcome], gqa: Path, tmp_path: Path) -> None:
    outcome = command(
        "task=convert", "convert.benchmark=gqa", f"convert.source={gqa}", f"convert.to={tmp_path}/gqa.jsonl"
    )
    assert outcome.code == 0
    assert "2 questions about 1 images" in outcome.out
    assert "evaluation.benchmarks.gqa=" in outcome.out
    assert len((tmp_path / "gqa.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["convert.benchmark=gqa"], "task=convert needs convert.source, convert.to"),
        (["convert.benchmark=gqa", "convert.source=no", "convert.to=x.jsonl"], "is not a folder"),
        (
            ["convert.benchmark=vqa", "convert.source=.", "convert.to=x.jsonl"],
            "convert.benchmark=vqa is unknown: choose from gqa,",
        ),
        (["convert.benchmark=gqa", "convert.source=.", "convert.to=x.json"], "must be a file .jsonl"),
        (
            ["convert.benchmark=gqa", "convert.source=.", "convert.to=x.jsonl"],
            "does not hold gqa in its makers' format (KeyError: 'imageId')",
        ),
        (["convert.benchmark=pope", "convert.source=.", "convert.to=x.jsonl"], "has no file coco_pope_random.json"),
    ],
)
def test_mistakes(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "testdev_balanced_questions.json").write_text(json.dumps({"1": {"question": "Is it red?"}}))
    outcome = command("task=convert", *words)
    assert outcome.code == 2
    assert told in outcome.err
    assert not (tmp_path / "x.jsonl").exists()


def test_a_finished_run_is_evaluated_on_it(
    command: Callable[..., Outcome], finished_run: Path, gqa: Path, tmp_path: Path
) -> None:
    command("task=convert", "convert.benchmark=gqa", f"convert.source={gqa}", f"convert.to={tmp_path}/gqa.jsonl")
    outcome = command(
        "fast=true",
        "task=eval",
        f"run={finished_run}",
        "evaluation=eagle11",
        f"evaluation.benchmarks.gqa={tmp_path}/gqa.jsonl",
    )
    assert outcome.code == 0, outcome.err
    rows = [
        json.loads(line) for line in (finished_run / "benchmarks-fast/gqa/predictions.jsonl").read_text().splitlines()
    ]
    assert [row["family"] for row in rows] == ["gqa", "gqa"]
    assert rows[0]["question"] == "Is it red?\nAnswer the question using a single word or phrase."


def test_all_eleven_give_eagles_average(command: Callable[..., Outcome], finished_run: Path, tmp_path: Path) -> None:
    chosen = {"answers": ["B"], "choices": ["red", "blue"]}
    special = {
        "vizwiz": {"answers": ["red"] * 10},
        "mme": {"category": "color", "image": "a.png", "answers": ["Yes"]},
        "pope": {"answers": ["no"]},
        **dict.fromkeys(("ai2d", "mmbench", "mmmu", "scienceqa", "seed"), chosen),
    }
    (tmp_path / "a.png").write_bytes(encode_png())
    words = []
    for name in EAGLE11:
        record = {"id": name, "question": "What?", "answers": ["red"], **special.get(name, {})}
        records = [record, {**record, "id": f"{name} again"}] if name == "mme" else [record]  # which scores pairs
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
        words.append(f"evaluation.benchmarks.{name}={tmp_path}/{name}.jsonl")
    outcome = command("fast=true", "task=eval", f"run={finished_run}", "evaluation=eagle11", *words)
    assert outcome.code == 0, outcome.err
    scores = json.loads((finished_run / "benchmarks-fast/scores.json").read_text())
    figures = {name: family["figure"] for name, family in scores["families"].items()}
    assert scores["eagle_average"] == pytest.approx(compute_eagle_average(figures), abs=0.01)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "evaluation.benchmarks has no file"),
        (
            ["evaluation.benchmarks.vqa=x.jsonl"],
            "evaluation.benchmarks.vqa is unknown: did you mean evaluation.benchmarks.vqav2?",
        ),
        (["evaluation.benchmarks.gqa=no.jsonl"], "the benchmark file no.jsonl does not exist: task=convert makes one."),
    ],
)
def test_benchmarks_that_there_are_not(
    command: Callable[..., Outcome], finished_run: Path, words: list[str], told: str
) -> None:
    outcome = command("fast=true", "task=eval", f"run={finished_run}", "evaluation=eagle11", *words)
    assert outcome.code == 2
    assert told in outcome.err
