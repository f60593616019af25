"""Answers survive an interruption, and serve only the questions and weights that they are of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eaglebench.evaluation.answer_log import Journal


def interrupted(*answers: str) -> Iterator[str]:
    yield from answers
    raise KeyboardInterrupt


def test_answers_that_were_given_are_known(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    journal = Journal(path, ["model", "questions"])
    assert journal.known() == []
    with pytest.raises(KeyboardInterrupt):
        list(journal.kept([], interrupted("one", "zwei\nDrei")))
    again = Journal(path, ["model", "questions"])
    assert again.known() == ["one", "zwei\nDrei"]
    assert list(again.kept(again.known(), iter(["three"]))) == ["one", "zwei\nDrei", "three"]
    assert Journal(path, ["model", "questions"]).known() == ["one", "zwei\nDrei", "three"]


def test_half_a_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    list(Journal(path, 1).kept([], iter(["one", "two", "dreißig"])))
    whole = path.read_bytes()
    for cut in range(1, 11):
        path.write_bytes(whole[:-cut])
        known = Journal(path, 1).known()
        assert known == ["one", "two", "dreißig"] if cut == 1 else ["one", "two"]
    path.write_bytes(whole[:5])
    assert Journal(path, 1).known() == []


def test_those_of_another_model_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    list(Journal(path, "one").kept([], iter(["old"])))
    assert Journal(path, "other").known() == []
    assert Journal(path, "other").foreign() and not Journal(path, "one").foreign()
    list(Journal(path, "other").kept([], iter(["new"])))
    assert Journal(path, "other").known() == ["new"]
