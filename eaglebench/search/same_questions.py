"""Whether trials answered the same questions: a file, a renderer or a point of a sweep may have changed them."""

from collections.abc import Iterable

from eaglebench.config.identity import run_identity
from eaglebench.report.entries import read_entry
from eaglebench.report.question_sets import NO_QUESTIONS, QuestionSet
from eaglebench.search.trials import TrialResult
from eaglebench.utils.errors import UserError

Asked = tuple[QuestionSet, TrialResult]


def find_questions(result: TrialResult) -> QuestionSet:
    """The questions of a trial; NO_QUESTIONS if it failed, or its folder does not say."""
    run = read_entry(result.folder, run_identity, limit=0).run if result.scores is not None else None
    return NO_QUESTIONS if run is None else run.questions


def check_same_questions(results: Iterable[TrialResult], first: Asked | None = None) -> Asked | None:
    """Check that all trials whose questions are known answered the same ones.

    Args:
        first: what an earlier check gave; its trials answered those questions.

    Returns:
        The first trial whose questions are known, with them.

    Raises:
        UserError: two of them did not.
    """
    for result in results:
        if (questions := find_questions(result)) == NO_QUESTIONS:
            continue
        if first is None:
            first = questions, result
        elif first[0].key != questions.key:
            raise UserError(
                f"{first[1].folder} ({first[0].title}) and {result.folder} ({questions.title}) answered different "
                "questions, so that their scores cannot be compared: move the older folder away, and it is trained "
                "anew."
            )
    return first
