"""Which runs were asked the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eaglebench.config.identity import run_identity
from eaglebench.report.entries import read_entry
from eaglebench.report.question_sets import QuestionSet
from tests.helpers.run_folders import write_images, write_run

OWN = ("data=llava_json", "data.train=my.json", "data.image_root=.")


def questions_of(folder: Path) -> QuestionSet:
    run = read_entry(folder, run_identity, limit=0).run
    assert run is not None
    return run.questions


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The folder, with every line of its predictions changed."""
    path = folder / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        change(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_runs_that_differ_in_what_was_trained_were_asked_the_same(tmp_path: Path) -> None:
    """Whatever the order of their predictions, and wherever the files of their data lie."""
    images = write_images(tmp_path / "images", 3)
    copies = write_images(tmp_path / "elsewhere", 3)
    for image, copy in zip(images, copies, strict=True):
        copy.write_bytes(image.read_bytes())
    one = write_run(tmp_path / "a", ["experts=[clip]"], skill=0.9, images=images)
    other = write_run(tmp_path / "b", ["world.train_images=9"], skill=0.2, seed=3, images=copies)
    lines = (other / "predictions.jsonl").read_text().splitlines()
    (other / "predictions.jsonl").write_text("\n".join(reversed(lines)))
    assert questions_of(one).key == questions_of(other).key
    assert questions_of(one).title == "synthetic: 20 questions of 5 families"
    assert questions_of(one).metrics == "exact: area, attributes, counting, text; relaxed: chart"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda row: row.update(id=f"x{row['id']}"), id="other ids"),
        pytest.param(lambda row: row.update(question="what?"), id="another question"),
        pytest.param(lambda row: row.update(references=["yes", "y"]), id="more references"),
        pytest.param(lambda row: row.update(family="other"), id="another family"),
        pytest.param(lambda row: row.update(turn=1), id="another turn"),
        pytest.param(lambda row: row.update(image_digest="00"), id="another image"),
        pytest.param(lambda row: row.update(image="b.png"), id="an image of another name, without its file"),
        pytest.param(lambda row: row.update(metric="contains"), id="another metric"),
    ],
)
def test_every_part_of_a_question_tells_sets_apart(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    same = questions_of(rewrite(write_run(tmp_path / "same"), lambda row: None)).key
    assert questions_of(write_run(tmp_path / "a")).key == same
    assert questions_of(rewrite(write_run(tmp_path / "b"), change)).key != same


def test_the_metric_of_older_predictions_is_that_of_the_config(tmp_path: Path) -> None:
    exact = questions_of(write_run(tmp_path / "a"))
    loose = questions_of(write_run(tmp_path / "b", ["evaluation.default_metric=contains"]))
    assert exact.key != loose.key
    assert loose.metrics == "contains: area; exact: attributes, counting, text; relaxed: chart"
    said = rewrite(write_run(tmp_path / "c"), lambda row: row.update(metric=exact.families[row["family"]].metric))
    assert questions_of(said).key == exact.key


def test_a_run_without_predictions_is_known_by_its_config_inputs_and_counts(tmp_path: Path) -> None:
    def write(name: str, overrides: tuple[str, ...] = (), digest: str = "0") -> QuestionSet:
        folder = write_run(tmp_path / name, overrides)
        (folder / "predictions.jsonl").unlink()
        manifest = {**json.loads((folder / "manifest.json").read_text()), "inputs": {"held_out.json": digest}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return questions_of(folder)

    own = (*OWN, "data.val=held_out.json")
    assert write("a").key == write("b", ("experts=[clip]",)).key
    assert not write("c").known
    assert len({write("d").key, write("e", ("world.seed=1",)).key, write("f", own).key, write("g", own, "1").key}) == 4
    assert write("h", own).title == "held_out.json: 20 questions of 5 families"


def test_smoke_tests_are_a_set_of_their_own(tmp_path: Path) -> None:
    real, smoke = questions_of(write_run(tmp_path / "a")), questions_of(write_run(tmp_path / "b", ["fast=true"]))
    assert real.key != smoke.key
    assert smoke.title == "smoke tests on synthetic: 20 questions of 5 families"
