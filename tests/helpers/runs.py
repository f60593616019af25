"""Finished runs without a folder."""

from eaglebench.report.question_sets import FamilyQuestions, QuestionSet
from eaglebench.report.settings import ScoredRun


def make_questions(name: str = "synthetic", *, later: dict[str, str] | None = None, **families: str) -> QuestionSet:
    """A set with twenty questions of each family, whose keys are given."""
    own, others = (
        {family: FamilyQuestions(key, "exact", 20) for family, key in keys.items()} for keys in (families, later or {})
    )
    return QuestionSet(f"{name} {sorted(families.items())}", name, own, others)


QUESTIONS = make_questions(chart="c", text="t")


def make_run(
    experts: str,
    seed: int,
    chart: float,
    text: float,
    *,
    blind: float = 0.05,
    questions: QuestionSet = QUESTIONS,
    **fields: str,
) -> ScoredRun:
    """A run with scores of two question families."""
    families = {"chart": {"score": chart, "blind": 0.1}, "text": {"score": text, "blind": 0.0}}
    overall = {"score": (chart + text) / 2, "blind": blind, "low": 0.2, "high": 0.4, "n": 40}
    setting = {"experts": experts, "llm.depth": "3", "data.source": "synthetic", **fields}
    return ScoredRun(f"{experts}{seed}", seed, setting, {"overall": overall, "families": families}, questions)
