"""From a model and held-out samples to predictions, scores and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from eaglebench.data.images import ImageReader
from eaglebench.data.sample import Sample
from eaglebench.evaluation.answer import Answerer, Question, questions
from eaglebench.evaluation.score import score_answers, shuffled, summary
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
        metrics: `exact`, `anls` or `relaxed` by family.
        default_metric: of families that `metrics` does not name.
        device: what generates.
        seed: of the shuffled images.
        cache_mb: memory for decoded images.
    """

    batch_size: int
    max_new_tokens: int
    metrics: Mapping[str, str]
    default_metric: str
    device: str
    seed: int
    cache_mb: int


def evaluate(
    model: EagleModel,
    language: LanguageModel,
    samples: Sequence[Sample],
    settings: Settings,
    folder: Path,
    console: Console,
    blind: tuple[EagleModel, LanguageModel] | None = None,
) -> dict[str, Any]:
    """Answer every question of `samples`, again with shuffled images, and again by the `blind` model if there is one.

    Writes predictions, scores and a picture into `folder`, and gives the scores (see `summary`).
    """
    asked = questions(samples)
    read_image = ImageReader(model.image_side, settings.cache_mb)

    def answers(which: tuple[EagleModel, LanguageModel], about: Sequence[Question], doing: str) -> list[str]:
        answerer = answerer_of(*which, read_image, settings, settings.device)
        shown = track(answerer.answers(about), doing, len(about), console=console, disable=not console.is_terminal)
        return list(shown)

    def scored(given: Sequence[str]) -> list[float]:
        return score_answers(asked, given, settings.metrics, settings.default_metric)

    predictions = answers((model, language), asked, "answering")
    guesses = {"shuffled": answers((model, language), shuffled(asked, settings.seed), "answering, images shuffled")}
    if blind is not None:
        guesses["trained"] = answers(blind, [without_image(question) for question in asked], "answering, trained blind")
    scores = scored(predictions)
    result = summary(asked, scores, {name: scored(given) for name, given in guesses.items()})
    rows = [
        {
            "id": question.sample.id,
            "image": None if question.sample.image is None else str(question.sample.image),
            "family": question.family,
            "question": question.sample.turns[question.turn].question,
            "reference": question.reference,
            "prediction": predictions[index],
            "score": scores[index],
            **{f"blind_{name}": given[index] for name, given in guesses.items()},
        }
        for index, question in enumerate(asked)
    ]
    write_jsonl(folder / PREDICTIONS, rows)
    write_json(folder / SCORES, result)
    draw_samples(rows, folder / PICTURE)
    return result


def answerer_of(
    model: EagleModel, language: LanguageModel, read_image: ImageReader, settings: Settings, device: torch.device | str
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
    )


def without_image(question: Question) -> Question:
    """The question about nothing."""
    return replace(question, sample=replace(question.sample, image=None))
