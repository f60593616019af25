"""Answers survive an interruption, and are used only for the same questions and weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eaglebench.evaluation.answer_log import AnswerLog


def interrupted(*answers: str) -> Iterator[str]:
    yield from answers
    raise KeyboardInterrupt


def test_recorded_answers_are_cached(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    log = AnswerLog(path, ["model", "questions"])
    assert log.cached_answers() == []
    with pytest.raises(KeyboardInterrupt):
        list(log.record([], interrupted("one", "zwei\nDrei")))
    again = AnswerLog(path, ["model", "questions"])
    assert again.cached_answers() == ["one", "zwei\nDrei"]
    assert list(again.record(again.cached_answers(), iter(["three"]))) == ["one", "zwei\nDrei", "three"]
    assert AnswerLog(path, ["model", "questions"]).cached_answers() == ["one", "zwei\nDrei", "three"]


def test_half_a_line_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    list(AnswerLog(path, 1).record([], iter(["one", "two", "dreißig"])))
    whole = path.read_bytes()
    for cut in range(1, 11):
        path.write_bytes(whole[:-cut])
        cached = AnswerLog(path, 1).cached_answers()
        assert cached == ["one", "two", "dreißig"] if cut == 1 else ["one", "two"]
    path.write_bytes(whole[:5])
    assert AnswerLog(path, 1).cached_answers() == []


def test_answers_of_another_model_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    list(AnswerLog(path, "one").record([], iter(["old"])))
    assert AnswerLog(path, "other").cached_answers() == []
    assert AnswerLog(path, "other").is_stale() and not AnswerLog(path, "one").is_stale()
    list(AnswerLog(path, "other").record([], iter(["new"])))
    assert AnswerLog(path, "other").cached_answers() == ["new"]
