"""From a model and held-out samples to predictions, scores and a picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from eaglebench.data.images import ImageReader
from eaglebench.data.sample import Sample
from eaglebench.evaluation.answer import Answerer, Question, questions
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.journal import Journal
from eaglebench.evaluation.score import Scoring, rows_of, shuffled, summary
from eaglebench.files import write_json, write_jsonl
from eaglebench.language.base import LanguageModel
from eaglebench.model import EagleModel, encoder_of
from eaglebench.report.picture import draw_samples

PREDICTIONS, SCORES, PICTURE = "predictions.jsonl", "scores.json", "samples.png"


@dataclass(frozen=True)
class Settings:
    """How answers are made and scored.

    Attributes:
        batch_size, max_new_tokens: of generation.
        generate: more options of transformers' generation; greedy without any.
        metrics: names of them by family.
        default_metric: of families that `metrics` does not name.
        benchmarks: families that are official benchmarks: asked, scored and counted as these are.
        shuffled: whether all is asked again with each other's images, for a blind score.
        device: what generates.
        seed: of the shuffled images, and of answers that are drawn.
        cache_mb: memory for decoded images.
    """

    batch_size: int
    max_new_tokens: int
    generate: Mapping[str, Any] | None
    metrics: Mapping[str, str]
    default_metric: str
    benchmarks: Sequence[str]
    shuffled: bool
    device: str
    seed: int
    cache_mb: int

    @property
    def scoring(self) -> Scoring:
        return Scoring(self.metrics, self.default_metric, frozenset(self.benchmarks))

    @property
    def lengths(self) -> dict[str, int]:
        """The most new tokens of an answer, by benchmark."""
        return {name: BENCHMARKS[name].max_new_tokens for name in self.benchmarks}


def evaluate(
    model: EagleModel,
    language: LanguageModel,
    samples: Sequence[Sample],
    settings: Settings,
    folder: Path,
    console: Console,
    of: object,
    blind: tuple[EagleModel, LanguageModel] | None = None,
) -> dict[str, Any]:
    """Answer every question of `samples`, again with shuffled images, and again by the `blind` model if there is one.

    Writes predictions, scores and a picture into `folder`, and gives the scores (see `summary`). Until then answers are kept there as
    they come: the same call goes on where an earlier one was interrupted.

    Args:
        of: what the weights of the models are known by.
    """
    asked, scoring = questions(samples), settings.scoring
    read_image = ImageReader(model.image_side, settings.cache_mb)
    journals: list[Journal] = []

    def answers(name: str, which: tuple[EagleModel, LanguageModel], about: Sequence[Question], doing: str) -> list[str]:
        depends = [
            of,
            language.template,
            language.max_length,
            settings.max_new_tokens,
            settings.lengths,
            settings.generate,
            settings.seed,
            [repr(question) for question in about],
        ]
        journal = Journal(folder / f".answers-{name}.jsonl", depends)
        journals.append(journal)
        known = journal.known()
        if known:
            console.print(f"{doing}: goes on from {len(known)} of {len(about)}")
        more = answerer_of(*which, read_image, settings, settings.device).answers(about[len(known) :])
        shown = track(journal.kept(known, more), doing, len(about), console=console, disable=not console.is_terminal)
        return list(shown)

    def rows(given: Sequence[str]) -> list[dict[str, Any]]:
        return rows_of(asked, given, scoring.scores(asked, given))

    own = rows(answers("own", (model, language), asked, "answering"))
    guesses = {}
    if settings.shuffled:
        swapped = shuffled(asked, settings.seed)
        guesses["shuffled"] = answers("shuffled", (model, language), swapped, "answering, images shuffled")
    if blind is not None:
        without = [without_image(question) for question in asked]
        guesses["trained"] = answers("trained", blind, without, "answering, trained blind")
    result = summary(asked, own, {name: rows(given) for name, given in guesses.items()}, scoring)
    lines = [
        {
            "id": question.sample.id,
            "image": None if question.sample.image is None else str(question.sample.image),
            "family": question.family,
            "question": question.sample.turns[question.turn].question,
            "reference": question.reference,
            "references": question.references,
            "prediction": own[index]["prediction"],
            "score": own[index]["score"],
            **{f"blind_{name}": given[index] for name, given in guesses.items()},
            "meta": dict(question.sample.turns[question.turn].meta),
        }
        for index, question in enumerate(asked)
    ]
    write_jsonl(folder / PREDICTIONS, lines)
    write_json(folder / SCORES, result)
    draw_samples(lines, folder / PICTURE)
    for journal in journals:
        journal.remove()
    return result


def answerer_of(
    model: EagleModel,
    language: LanguageModel,
    read_image: Callable[[Path], Tensor],
    settings: Settings,
    device: torch.device | str,
) -> Answerer:
    """Answers by a model and its language model, in batches and lengths of the settings."""
    return Answerer(
        model,
        encoder_of(model, language),
        language.tokenizer,
        read_image,
        device=device,
        batch_size=settings.batch_size,
        max_new_tokens=settings.max_new_tokens,
        lengths=settings.lengths,
        options=settings.generate,
        seed=settings.seed,
    )


def without_image(question: Question) -> Question:
    """The question about nothing."""
    return replace(question, sample=replace(question.sample, image=None))
