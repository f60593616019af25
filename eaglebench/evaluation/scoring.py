"""Scores by family, each beside its blind twins and with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np

from eaglebench.evaluation.benchmarks import BENCHMARKS, EAGLE11, eagle_average
from eaglebench.evaluation.generation import Question
from eaglebench.evaluation.metrics import METRICS
from eaglebench.evaluation.metrics.aggregate import mean
from eaglebench.evaluation.metrics.rows import Rows
from eaglebench.evaluation.significance import DRAWS, Interval, of_figure, of_mean
from eaglebench.utils.hashing import named_seed

EAGLE_AVERAGE = "eagle_average"  # in the scores of runs that were asked all of Eagle's eleven
NORMAL = 1.96  # standard errors of a normal 95 % interval


def shuffled(asked: Sequence[Question], seed: int) -> list[Question]:
    """The questions with each other's images: within a family, and never their own if the family has two images or more."""
    images: dict[str, list[Path]] = {}
    for question in asked:
        if question.sample.image is not None and question.sample.image not in images.setdefault(question.family, []):
            images[question.family].append(question.sample.image)
    following: dict[tuple[str, Path | None], Path] = {}
    for family, own in images.items():
        order = Random(f"{seed} {family}").sample(own, len(own))
        following.update({(family, image): other for image, other in zip(order, order[1:] + order[:1], strict=True)})
    swapped = []
    for question in asked:
        image = following.get((question.family, question.sample.image))
        swapped.append(replace(question, sample=replace(question.sample, image=image)))
    return swapped


@dataclass(frozen=True)
class Scoring:
    """How answers are scored.

    Attributes:
        metrics: names of them by family.
        default: of the other families.
        benchmarks: families that are official benchmarks, with metrics and figures of their own.
    """

    metrics: Mapping[str, str]
    default: str
    benchmarks: frozenset[str] = frozenset()

    def score(self, question: Question, answer: str) -> float:
        """The score of an answer, in [0, 1]."""
        if question.family in self.benchmarks:
            name = BENCHMARKS[question.family].metric_of(question.meta.get("category"))
        else:
            name = self.metrics.get(question.family, self.default)
        return METRICS[name](answer, question.references)

    def scores(self, asked: Sequence[Question], answers: Sequence[str]) -> list[float]:
        """The score of each answer."""
        return [self.score(question, answer) for question, answer in zip(asked, answers, strict=True)]

    def figure(self, family: str, rows: Rows) -> float:
        """The score of a family, in [0, 1]: the mean, or what a benchmark has instead."""
        return BENCHMARKS[family].share(rows) if family in self.benchmarks else mean(rows)

    def interval(self, family: str, rows: Rows) -> Interval:
        """How far it may be chance."""
        seed = named_seed(0, family)
        benchmark = BENCHMARKS[family] if family in self.benchmarks else None
        if benchmark is None or benchmark.aggregate == "mean":
            return of_mean([row["score"] for row in rows], [row["meta"]["image"] for row in rows], seed)
        return of_figure(rows, benchmark.share, benchmark.unit, seed)


def rows_of(asked: Sequence[Question], answers: Sequence[str], scores: Sequence[float]) -> list[dict[str, Any]]:
    """What aggregates are given of each answer."""
    return [
        {"prediction": answer, "references": question.references, "score": score, "meta": question.meta}
        for question, answer, score in zip(asked, answers, scores, strict=True)
    ]


def summary(asked: Sequence[Question], rows: Rows, blind: Mapping[str, Rows], scoring: Scoring) -> dict[str, Any]:
    """`overall` and `families.<name>`, each with `score`, its 95 % interval from `low` to `high`, `stderr`, `n`, `blind` and every blind
    score by its name; of a benchmark also `figure`, as papers print it, and, where Eagle did otherwise, `differs`. With all of Eagle's
    eleven, `eagle_average`.

    `blind` is the higher of the blind scores: what a model gets without looking at the right image. The overall figure is the
    mean over families, each counting once.

    Args:
        rows: of the answers, see `rows_of`.
        blind: those of other answers by name.
    """
    families: dict[str, dict[str, Any]] = {}
    drawn = []
    for family in sorted({question.family for question in asked}):
        places = [index for index, question in enumerate(asked) if question.family == family]
        own = [rows[place] for place in places]
        interval = scoring.interval(family, own)
        blinds = {name: scoring.figure(family, [of[place] for place in places]) for name, of in blind.items()}
        families[family] = entry(scoring.figure(family, own), interval, len(own), blinds)
        if family in scoring.benchmarks:
            families[family]["figure"] = round(BENCHMARKS[family].figure(own), 2)
            if BENCHMARKS[family].differs:
                families[family]["differs"] = BENCHMARKS[family].differs
        drawn.append(interval.drawn)
    # Families are drawn apart from each other; where one has fewer drawings, they serve again.
    all_drawn = Interval(np.mean([np.resize(one, DRAWS) for one in drawn], axis=0))
    overall = entry(
        fmean(family["score"] for family in families.values()),
        all_drawn,
        len(asked),
        {name: fmean(family[f"blind_{name}"] for family in families.values()) for name in blind},
    )
    return {"overall": overall, "families": families, **average_of(families)}


def together(families: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The scores of benchmarks that were asked apart, as `summary` gives them. The overall interval is that of a mean of independent
    figures, ± 1.96 standard errors."""
    rows = list(families.values())
    score, stderr = fmean(row["score"] for row in rows), hypot(*(row["stderr"] for row in rows)) / len(rows)
    ways = [name for name in rows[0] if name.startswith("blind_") and all(name in row for row in rows)]
    blinds = {name: round(fmean(row[name] for row in rows), 4) for name in ways}
    overall = {
        "score": round(score, 4),
        "low": round(score - NORMAL * stderr, 4),
        "high": round(score + NORMAL * stderr, 4),
        **({"blind": max(blinds.values())} if blinds else {}),
        **blinds,
        "stderr": round(stderr, 4),
        "n": sum(row["n"] for row in rows),
    }
    return {"overall": overall, "families": dict(families), **average_of(families)}


def average_of(families: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """`eagle_average`, where there are figures of all of Eagle's eleven."""
    if any("figure" not in families.get(name, {}) for name in EAGLE11):
        return {}
    return {EAGLE_AVERAGE: round(eagle_average({name: families[name]["figure"] for name in EAGLE11}), 2)}


def entry(score: float, interval: Interval, n: int, blinds: Mapping[str, float]) -> dict[str, Any]:
    """One row of a summary."""
    named = {f"blind_{name}": round(value, 4) for name, value in blinds.items()}
    blind = {"blind": max(named.values())} if named else {}
    bounds = {"low": round(interval.low, 4), "high": round(interval.high, 4)}
    return {
        "score": round(score, 4),
        **bounds,
        **blind,
        "stderr": round(float(interval.drawn.std()), 4),
        "n": n,
        **named,
    }
