"""lmms-eval asks a run what our own evaluation asks it, and gets the same answers and the same score.

The slow test needs lmms-eval: uv run --extra lmms pytest -m slow tests/integrations/lmms_eval
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from eaglebench.runs import MODEL, write_run_config
from tests.conftest import Outcome, command_of, composed

UTILS = """
from eaglebench.evaluation.metrics import exact

def process_results(doc, results):
    return {"exact": exact(results[0], [doc["answer"]])}
"""


def test_without_the_extra_one_sentence_says_how_to_get_it(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run_config(tmp_path, command_of().resolved)
    (tmp_path / MODEL).touch()
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "lmms_eval" else find_spec(name, *more)
    )
    outcome = command("task=eval", f"run={tmp_path}", "evaluation=lmms_eval", "evaluation.tasks=[ocrbench]")
    assert outcome.code == 2
    assert "uv sync --extra lmms" in outcome.err


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["evaluation.tasks=[ocrbench]"], "evaluation=lmms_eval belongs to task=eval"),
        (["task=eval", "run=r"], "evaluation.tasks is not set"),
        (["task=eval", "run=r", "evaluation.tasks=ocrbench"], "evaluation.tasks=ocrbench must be a list of texts"),
        (
            ["task=eval", "run=r", "evaluation.tasks=[a]", "evaluation.limit=0"],
            "evaluation.limit=0 must be a whole number above 0 or null",
        ),
        (
            ["task=eval", "run=r", "evaluation.tasks=[a]", "evaluation.batch_size=0"],
            "batch_size=0 must be a whole number above 0",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    command: Callable[..., Outcome], overrides: list[str], problem: str
) -> None:
    outcome = command("evaluation=lmms_eval", *overrides)
    assert outcome.code == 2
    assert problem in outcome.err


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lmms_eval") is None, reason="needs lmms-eval: uv run --extra lmms ...")
def test_the_answers_and_the_score_of_our_own_evaluation(
    command: Callable[..., Outcome], finished_run: Path, tmp_path: Path
) -> None:
    assert (
        command("task=eval", f"run={finished_run}", "evaluation.default_metric=exact", "evaluation.metrics={}").code
        == 0
    )
    own = [json.loads(line) for line in (finished_run / "eval" / "predictions.jsonl").read_text().splitlines()]
    assert len({row["prediction"] for row in own}) > 1
    write_tasks(tmp_path, own)
    batch_size = composed().evaluation.batch_size

    overrides = ["task=eval", "evaluation=lmms_eval", f"run={finished_run}", f"evaluation.include_path={tmp_path}"]
    run_program(
        tmp_path, "eaglebench", *overrides, "evaluation.tasks=[own,own_ocrbench]", f"evaluation.batch_size={batch_size}"
    )
    results, samples = read_results(finished_run / "lmms")
    assert [sample["filtered_resps"] for sample in samples] == [row["prediction"] for row in own]
    assert results["own"]["exact,none"] == pytest.approx(sum(row["score"] for row in own) / len(own), abs=0)
    correct = sum(row["reference"].lower() in row["prediction"].lower() for row in own)
    assert results["own_ocrbench"]["ocrbench_accuracy,none"] == correct / 1000  # OCRBench has a thousand questions

    arguments = ["--model", "eaglebench", "--model_args", f"run={finished_run}", "--batch_size", str(batch_size)]
    arguments += ["--tasks", "own", "--include_path", str(tmp_path), "--output_path", str(tmp_path), "--log_samples"]
    run_program(tmp_path, "lmms_eval", *arguments)
    assert read_results(tmp_path)[1] == samples


def write_tasks(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Two tasks of lmms-eval that ask the questions of `rows`: one scores as we do, one is its OCRBench."""
    from datasets import Dataset, Features, Image, List, Value

    columns = {
        "image": [row["image"] for row in rows],
        "question": [row["question"] for row in rows],
        "answer": [row["reference"] for row in rows],
    }
    features = {"image": Image(), "question": Value("string"), "answer": Value("string")}
    Dataset.from_dict(columns, Features(features)).to_parquet(folder / "own.parquet")
    ocr = {
        **columns,
        "answer": [[answer] for answer in columns["answer"]],
        "dataset": ["own"] * len(rows),
        "question_type": ["Regular Text Recognition"] * len(rows),
    }
    features |= {"answer": List(Value("string")), "dataset": Value("string"), "question_type": Value("string")}
    Dataset.from_dict(ocr, Features(features)).to_parquet(folder / "ocr.parquet")

    (folder / "utils.py").write_text(UTILS)
    own = {
        "task": "own",
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"test": str(folder / "own.parquet")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_visual": "image",
        "doc_to_text": "{{question}}",
        "doc_to_target": "answer",
        "generation_kwargs": {"max_new_tokens": composed().evaluation.max_new_tokens, "temperature": 0},
        "metric_list": [{"metric": "exact", "aggregation": "mean", "higher_is_better": True}],
    }
    (folder / "own.yaml").write_text(yaml.dump(own) + "process_results: !function utils.process_results\n")
    spec = importlib.util.find_spec("lmms_eval")
    assert spec is not None and spec.origin is not None
    ocrbench = {
        "include": str(Path(spec.origin).parent / "tasks" / "ocrbench" / "ocrbench.yaml"),
        "task": "own_ocrbench",
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"test": str(folder / "ocr.parquet")}},
    }
    (folder / "own_ocrbench.yaml").write_text(yaml.dump(ocrbench))


def run_program(folder: Path, module: str, *arguments: str) -> None:
    """Run a command that needs no network."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], env=os.environ | offline, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def read_results(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What lmms-eval wrote last: the scores by task, and the answers to the task `own` in its documents' order."""
    scores = sorted(folder.glob("**/*_results.json"))[-1]
    samples = [json.loads(line) for line in sorted(folder.glob("**/*_samples_own.jsonl"))[-1].read_text().splitlines()]
    return json.loads(scores.read_text())["results"], sorted(samples, key=lambda sample: sample["doc_id"])
