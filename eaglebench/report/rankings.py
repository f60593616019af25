"""Rankings of settings, one for each set of questions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from eaglebench.report.question_sets import QuestionSet
from eaglebench.report.settings import ScoredRun, Setting, group_runs


@dataclass(frozen=True)
class Ranking:
    """The settings whose runs answered the same questions.

    Attributes:
        questions: the same for all runs, but for benchmarks that were asked later.
        settings: the best first.
        title: differs from that of every other ranking of the report.
    """

    questions: QuestionSet
    settings: Sequence[Setting]
    title: str

    @property
    def runs(self) -> list[ScoredRun]:
        """The runs of all settings."""
        return [run for setting in self.settings for run in setting.runs]


def rank_runs(runs: Iterable[ScoredRun]) -> tuple[list[Ranking], dict[str, str]]:
    """A ranking for each set of questions, and the runs that are left out, each with the run that it repeats.

    Rankings with more runs come first, smoke tests last.
    """
    by_questions: dict[str, list[ScoredRun]] = {}
    for run in runs:
        by_questions.setdefault(run.questions.key, []).append(run)
    groups = sorted(by_questions.values(), key=lambda own: (own[0].questions.smoke_test, -len(own)))
    titles = [own[0].questions.title for own in groups]
    rankings, repeated = [], {}
    for own, title in zip(groups, titles, strict=True):
        settings, of_group = group_runs(separate_benchmarks(own))
        questions = own[0].questions
        unique = title if titles.count(title) == 1 else f"{title} (set {questions.key})"
        rankings.append(Ranking(questions, settings, unique))
        repeated.update(of_group)
    return rankings, repeated


def separate_benchmarks(runs: Sequence[ScoredRun]) -> list[ScoredRun]:
    """The runs, with a benchmark that they were asked later under several names if its questions are not the same.

    The name then ends with the key of the questions, as in `gqa (3fa2b1)`.
    """
    keys: dict[str, set[str]] = {}
    for run in runs:
        for name, asked in run.questions.later.items():
            keys.setdefault(name, set()).add(asked.key)
    several = {name for name, found in keys.items() if len(found) > 1}

    def rename(run: ScoredRun) -> ScoredRun:
        families: Mapping[str, object] = run.scores["families"]
        names = {name: f"{name} ({run.questions.later[name].key[:6]})" for name in several & run.questions.later.keys()}
        renamed = {names.get(name, name): row for name, row in families.items()}
        return replace(run, scores={**run.scores, "families": renamed})

    return [rename(run) if several else run for run in runs]
