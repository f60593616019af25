"""Trials are ranked with those that answered the same questions."""

from pathlib import Path

import pytest

from eaglebench.report.question_sets import NO_QUESTIONS
from eaglebench.search.same_questions import check_same_questions, find_questions
from eaglebench.search.trials import Trial, TrialResult
from eaglebench.tasks.sweep import group_by_questions
from eaglebench.utils.errors import UserError
from tests.helpers.run_folders import write_run

SCORES = {"overall": {"score": 0.5, "stderr": 0.1, "n": 20}, "families": {}}


def trial(folder: Path, failed: bool = False) -> TrialResult:
    return TrialResult(Trial(folder.name, ()), folder, None if failed else SCORES)


@pytest.fixture
def results(tmp_path: Path) -> list[TrialResult]:
    """Two that were asked the same, one that was asked something else, and one that failed."""
    return [
        trial(write_run(tmp_path / "a")),
        trial(write_run(tmp_path / "b", ["experts=[clip]"])),
        trial(write_run(tmp_path / "older", asked="before")),
        trial(tmp_path / "none", failed=True),
    ]


def test_a_selection_among_different_questions_is_refused(results: list[TrialResult]) -> None:
    check_same_questions(results[:2])
    with pytest.raises(UserError, match=r"a \(synthetic: .*\) and .*older \(.*\) answered different questions"):
        check_same_questions(results)


def test_a_later_round_is_compared_with_the_first(results: list[TrialResult]) -> None:
    asked = check_same_questions([results[3], results[0]])
    assert check_same_questions([results[1]], asked) == asked
    with pytest.raises(UserError, match=r"a \(synthetic: .*\) and .*older \(.*\) answered different questions"):
        check_same_questions([results[2]], asked)


def test_trials_that_do_not_say_what_they_were_asked_are_left_alone(results: list[TrialResult]) -> None:
    assert find_questions(results[-1]) == NO_QUESTIONS
    check_same_questions([results[0], results[-1]])


def test_a_sweep_has_a_table_for_each_set_of_questions(results: list[TrialResult]) -> None:
    groups = group_by_questions([({"name": result.trial.label}, result) for result in results])
    assert [[point["name"] for point, _ in own] for _, own in groups] == [["a", "b", "none"], ["older"]]
