"""From a model and held-out samples to predictions, scores and a picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from eaglebench.data.images import ImageReader
from eaglebench.data.sample import Sample
from eaglebench.evaluation.answer_log import Journal
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.figure import draw_samples
from eaglebench.evaluation.generation import Answerer, Question, questions
from eaglebench.evaluation.scoring import Scoring, rows_of, shuffled, summary
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, encoder_of
from eaglebench.runs import PICTURE, PREDICTIONS, SCORES
from eaglebench.utils.files import write_json, write_jsonl

KEPT = ".answers-"  # begins the names of files of answers as they come


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


@dataclass(frozen=True)
class Evaluated:
    """A model that is evaluated.

    Attributes:
        of: what its weights are known by.
        model: gives it; called when it is to answer.
    """

    of: str
    model: Callable[[], EagleModel]


def evaluate(
    own: Evaluated,
    language: LanguageModel,
    samples: Sequence[Sample],
    settings: Settings,
    folder: Path,
    console: Console,
    blind: Evaluated | None = None,
) -> dict[str, Any]:
    """Answer every question of `samples`, again with shuffled images, and again by the `blind` model if there is one.

    Writes predictions, scores and a picture into `folder`, and gives the scores (see `summary`). Answers are kept there as they come:
    the same call goes on where an earlier one was interrupted, until `forget_answers`.

    Raises:
        UserError: a metric or benchmark cannot score such references; before anything is answered.
    """
    asked, scoring = questions(samples), settings.scoring
    check_scoring(samples, scoring)
    reader = cache(partial(ImageReader, megabytes=settings.cache_mb))  # by the side of images

    def answers(name: str, which: Evaluated, about: Sequence[Question], doing: str) -> list[str]:
        depends = [
            which.of,
            language.template,
            language.max_length,
            settings.max_new_tokens,
            settings.lengths,
            settings.generate,
            settings.seed,
            [repr(question) for question in about],
        ]
        journal = Journal(folder / f"{KEPT}{name}.jsonl", depends)
        known = journal.known()
        if known:
            console.print(f"{doing}: goes on from {len(known)} of {len(about)}")
        elif journal.foreign():
            console.print(f"{doing}: begins anew; what was kept is of other weights, questions or settings")
        if len(known) == len(about):
            return known
        model = which.model()
        side = model.image_side if model.experts else 1  # a blind one reads none
        answerer = answerer_of(model, language, reader(side), settings, settings.device)
        kept = journal.kept(known, answerer.answers(about, len(known)))
        given = list(track(kept, doing, len(about), console=console, disable=not console.is_terminal))
        model.to("cpu")  # the next one may need the room
        return given

    def rows(texts: Sequence[str]) -> list[dict[str, Any]]:
        return rows_of(asked, texts, scoring.scores(asked, texts))

    given = rows(answers("own", own, asked, "answering"))
    guesses = {}
    if settings.shuffled:
        swapped = shuffled(asked, settings.seed)
        guesses["shuffled"] = answers("shuffled", own, swapped, "answering, images shuffled")
    if blind is not None:
        without = [without_image(question) for question in asked]
        guesses["trained"] = answers("trained", blind, without, "answering, trained blind")
    result = summary(asked, given, {name: rows(texts) for name, texts in guesses.items()}, scoring)
    lines = [
        {
            "id": question.sample.id,
            "turn": question.turn,
            "image": None if question.sample.image is None else str(question.sample.image),
            "family": question.family,
            "question": question.sample.turns[question.turn].question,
            "reference": question.reference,
            "references": question.references,
            "prediction": given[index]["prediction"],
            "score": given[index]["score"],
            **{f"blind_{name}": texts[index] for name, texts in guesses.items()},
            "meta": dict(question.sample.turns[question.turn].meta),
        }
        for index, question in enumerate(asked)
    ]
    write_jsonl(folder / PREDICTIONS, lines)
    write_json(folder / SCORES, result)
    draw_samples(lines, folder / PICTURE)
    return result


def check_scoring(samples: Sequence[Sample], scoring: Scoring) -> None:
    """Find out, without any answer, whether all questions can be scored.

    Raises:
        UserError: they cannot.
    """
    asked = questions(samples)
    nothing = [""] * len(asked)
    rows = rows_of(asked, nothing, scoring.scores(asked, nothing))
    for name in scoring.benchmarks:
        of_one = [row for question, row in zip(asked, rows, strict=True) if question.family == name]
        BENCHMARKS[name].check(name, of_one)


def forget_answers(folder: Path) -> None:
    """What `evaluate` kept in a folder is in its predictions."""
    for path in folder.glob(f"{KEPT}*.jsonl"):
        path.unlink()


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
