"""Scores by family, each beside its blind twins and with its standard error."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any

from eaglebench.evaluation.answer import Question
from eaglebench.evaluation.metrics import METRICS


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


def score_answers(
    asked: Sequence[Question], answers: Sequence[str], metrics: Mapping[str, str], default: str
) -> list[float]:
    """The score of each answer by its family's metric."""
    return [
        METRICS[metrics.get(question.family, default)](answer, question.reference)
        for question, answer in zip(asked, answers, strict=True)
    ]


def summary(asked: Sequence[Question], scores: Sequence[float], blind: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """`overall` and `families.<name>`, each with `score`, `stderr`, `n`, `blind` and every blind score by its name.

    `blind` is the higher of the blind scores: what a model gets without looking at the right image. The overall figure is the
    mean over families, each counting once.
    """
    families = {}
    for family in sorted({question.family for question in asked}):
        rows = [index for index, question in enumerate(asked) if question.family == family]
        own = [scores[row] for row in rows]
        blinds = {name: fmean(values[row] for row in rows) for name, values in blind.items()}
        families[family] = entry(fmean(own), stderr(own), len(own), blinds)
    count = len(families)
    overall = entry(
        fmean(family["score"] for family in families.values()),
        sum(family["stderr"] ** 2 for family in families.values()) ** 0.5 / count,
        len(asked),
        {name: fmean(family[f"blind_{name}"] for family in families.values()) for name in blind},
    )
    return {"overall": overall, "families": families}


def entry(score: float, error: float, n: int, blinds: Mapping[str, float]) -> dict[str, Any]:
    """One row of a summary."""
    named = {f"blind_{name}": round(value, 4) for name, value in blinds.items()}
    blind = {"blind": max(named.values())} if named else {}
    return {"score": round(score, 4), **blind, "stderr": round(error, 4), "n": n, **named}


def stderr(values: Sequence[float]) -> float:
    """The standard error of the mean; 0 for a single value, which has no spread to tell it from."""
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
