"""Scores by family, each beside its blind scores and with its bootstrap interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from statistics import fmean
from typing import Any

import numpy as np

from eaglebench.evaluation.benchmarks import BENCHMARKS, build_average_entry
from eaglebench.evaluation.metrics import METRICS
from eaglebench.evaluation.metrics.aggregate import find_rotated, mean
from eaglebench.evaluation.metrics.rows import AnswerRows
from eaglebench.evaluation.question_identity import name_metric
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.evaluation.significance import RESAMPLES, Interval, bootstrap_mean, bootstrap_statistic
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed
from eaglebench.utils.intervals import normal_interval


@dataclass(frozen=True)
class Scoring:
    """How answers are scored.

    Attributes:
        metrics: names of metrics by family.
        default: the metric of the other families.
        benchmarks: families that are official benchmarks, with metrics and scores of their own.
    """

    metrics: Mapping[str, str]
    default: str
    benchmarks: frozenset[str] = frozenset()

    def score(self, question: EvalQuestion, answer: str) -> float:
        """The score of an answer, in [0, 1].

        Raises:
            UserError: the metric cannot score such references; the message names the question.
        """
        metric = METRICS[self.metric_of(question)]
        try:
            return metric(answer, question.references, question.meta.get("choices", ()))
        except UserError as error:
            raise UserError(f"{question.family}, question {question.sample.id}: {error}") from error

    def metric_of(self, question: EvalQuestion) -> str:
        """The name of the metric that scores a question."""
        if question.family in self.benchmarks:
            return BENCHMARKS[question.family].metric_for(question.meta)
        return self.metrics.get(question.family, self.default)

    def describe_differences(self, questions: Sequence[EvalQuestion]) -> str:
        """How the metrics of some questions differ from the official scripts; empty if none does."""
        names = dict.fromkeys(map(self.metric_of, questions))
        return "; ".join(METRICS[name].differs for name in names if METRICS[name].differs)

    def name_metric(self, family: str) -> str:
        """The metric of a family's questions, as lines of predictions.jsonl name it."""
        named = {"metrics": self.metrics, "default_metric": self.default, "benchmarks": self.benchmarks}
        return name_metric(family, named)

    def score_all(self, questions: Sequence[EvalQuestion], answers: Sequence[str]) -> list[float]:
        """The score of each answer, in [0, 1].

        Raises:
            UserError: a metric cannot score such references.
        """
        return [self.score(question, answer) for question, answer in zip(questions, answers, strict=True)]

    def build_rows(self, questions: Sequence[EvalQuestion], answers: Sequence[str]) -> list[dict[str, Any]]:
        """The scored answers as the rows that aggregates take.

        Raises:
            UserError: a metric cannot score such references.
        """
        scores = self.score_all(questions, answers)
        return [
            {
                "prediction": answer,
                "references": question.references,
                "score": score,
                "meta": {**question.meta, "rotations_of": find_rotated(question.sample.id)},
            }
            for question, answer, score in zip(questions, answers, scores, strict=True)
        ]

    def score_family(self, family: str, rows: AnswerRows) -> float:
        """The score of a family, in [0, 1]: the mean over answers, or a benchmark's official score as a fraction."""
        return BENCHMARKS[family].compute_fraction(rows) if family in self.benchmarks else mean(rows)

    def bootstrap_family(self, family: str, rows: AnswerRows) -> Interval:
        """The bootstrap interval of a family's score."""
        seed = named_seed(0, family)
        benchmark = BENCHMARKS[family] if family in self.benchmarks else None
        if benchmark is None or benchmark.aggregate == "mean":
            return bootstrap_mean([row["score"] for row in rows], [row["meta"]["image"] for row in rows], seed)
        return bootstrap_statistic(rows, benchmark.compute_fraction, benchmark.unit, seed)


def summarize(
    questions: Sequence[EvalQuestion],
    rows: AnswerRows,
    blind: Mapping[str, AnswerRows],
    scoring: Scoring,
    others: Mapping[int, float] | None = None,
) -> dict[str, Any]:
    """The scores of a run, as `scores.json` holds them.

    `overall` and each of `families` have `score`, the 95 % interval from `low` to `high`, `stderr`, `n`, and every
    blind score as `blind_NAME`. `blind` is the highest blind score: what is possible without the right image. The
    overall score is the mean over families. `other_question` is the score of the answers to other questions about the
    same images: what is possible without the question. `types` has score, blind score and number of each type of
    question, where a family has several. `metric_differs` says where the metric is not the official script. A
    benchmark also has `figure`, its official score, and `differs` where Eagle scored otherwise. With all of Eagle's
    eleven benchmarks there is `eagle_average`.

    Args:
        questions: in the order of all rows.
        rows: the scored answers, see `Scoring.build_rows`.
        blind: the scored answers without the right image, by the name of the blind score.
        others: the scores of answers to other questions, by the place of the question.
    """
    others = others or {}
    families: dict[str, dict[str, Any]] = {}
    resampled = []
    for family in sorted({question.family for question in questions}):
        places = [index for index, question in enumerate(questions) if question.family == family]
        own = [rows[place] for place in places]
        interval = scoring.bootstrap_family(family, own)
        blinds = {
            name: scoring.score_family(family, [answers[place] for place in places]) for name, answers in blind.items()
        }
        families[family] = build_entry(scoring.score_family(family, own), interval, len(own), blinds)
        if unasked := [others[place] for place in places if place in others]:
            families[family]["other_question"] = round(fmean(unasked), 4)
        if len(types := group_types(questions, places)) > 1 and family not in scoring.benchmarks:
            families[family]["types"] = {
                name: build_type_entry([[answers[place] for place in same] for answers in (rows, *blind.values())])
                for name, same in types.items()
            }
        if differences := scoring.describe_differences([questions[place] for place in places]):
            families[family]["metric_differs"] = differences
        if family in scoring.benchmarks:
            families[family]["figure"] = round(BENCHMARKS[family].compute_official_score(own), 2)
            if BENCHMARKS[family].differs:
                families[family]["differs"] = BENCHMARKS[family].differs
        resampled.append(interval.resampled)
    # Families are resampled independently. Where one has fewer resamples than RESAMPLES, they are repeated.
    overall = build_entry(
        fmean(family["score"] for family in families.values()),
        Interval(np.mean([np.resize(one, RESAMPLES) for one in resampled], axis=0)),
        len(questions),
        {name: fmean(family[f"blind_{name}"] for family in families.values()) for name in blind},
    )
    return {"overall": overall, "families": families, **build_average_entry(families)}


def group_types(questions: Sequence[EvalQuestion], places: Sequence[int]) -> dict[str, list[int]]:
    """Some questions by the name of their type, in the order of the names; those that name none are left out."""
    types: dict[str, list[int]] = {}
    for place in places:
        if (name := questions[place].type) is not None:
            types.setdefault(name, []).append(place)
    return dict(sorted(types.items()))


def build_type_entry(answers: Sequence[AnswerRows]) -> dict[str, Any]:
    """One type of a family: its score, blind score and number.

    Args:
        answers: the scored answers, and those without the right image, for each blind score.
    """
    score, *blinds = (round(mean(rows), 4) for rows in answers)
    return {"score": score, **({"blind": max(blinds)} if blinds else {}), "n": len(answers[0])}


def merge_families(families: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The scores of benchmarks that were evaluated separately, in the format of `summarize`.

    The overall interval is that of a mean of independent scores: ± 1.96 standard errors.
    """
    rows = list(families.values())
    score, stderr = fmean(row["score"] for row in rows), hypot(*(row["stderr"] for row in rows)) / len(rows)
    low, high = normal_interval(score, stderr)
    blind_keys = [key for key in rows[0] if key.startswith("blind_") and all(key in row for row in rows)]
    blinds = {key: round(fmean(row[key] for row in rows), 4) for key in blind_keys}
    overall = {
        "score": round(score, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        **({"blind": max(blinds.values())} if blinds else {}),
        **blinds,
        "stderr": round(stderr, 4),
        "n": sum(row["n"] for row in rows),
    }
    return {"overall": overall, "families": dict(families), **build_average_entry(families)}


def build_entry(score: float, interval: Interval, n: int, blinds: Mapping[str, float]) -> dict[str, Any]:
    """One family of a `scores.json`, or its `overall`."""
    named = {f"blind_{name}": round(value, 4) for name, value in blinds.items()}
    blind = {"blind": max(named.values())} if named else {}
    bounds = {"low": round(interval.low, 4), "high": round(interval.high, 4)}
    return {
        "score": round(score, 4),
        **bounds,
        **blind,
        "stderr": round(float(interval.resampled.std()), 4),
        "n": n,
        **named,
    }
