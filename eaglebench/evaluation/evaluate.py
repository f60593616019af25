"""Evaluate a model on held-out samples: predictions, scores and a figure of sample answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from eaglebench.data.sample import Sample
from eaglebench.evaluation.answering import AnswerPasses, EvaluatedModel
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.evaluation_settings import EvaluationSettings
from eaglebench.evaluation.figure import draw_samples
from eaglebench.evaluation.question_identity import IMAGE_DIGEST, METRIC, digest_image
from eaglebench.evaluation.questions import (
    EvalQuestion,
    drop_image,
    list_questions,
    shuffle_images,
    shuffle_questions,
)
from eaglebench.evaluation.scoring import Scoring, summarize
from eaglebench.language.base import LanguageModel
from eaglebench.runs import PICTURE, PREDICTIONS, SCORES
from eaglebench.utils.files import write_json, write_jsonl

OTHER_KEYS = ("other_question", "other_answer")  # of a line of predictions.jsonl


def evaluate(
    model: EvaluatedModel,
    language: LanguageModel,
    samples: Sequence[Sample],
    settings: EvaluationSettings,
    folder: Path,
    console: Console,
    blind: EvaluatedModel | None = None,
) -> dict[str, Any]:
    """Answer every question of `samples`, and write predictions, scores and a figure into `folder`.

    Returns the scores in the format of `summarize`. The questions are answered again with shuffled images if the
    settings say so, and without images by the no-image baseline `blind`, if there is one; and other questions about the
    same images, if the settings say so. Answers are cached in `folder`: the same call resumes an interrupted one, until
    `remove_answer_logs`.

    Raises:
        UserError: a metric or benchmark cannot score such references (before anything is answered), transformers
            refuses the options of generation, or an image cannot be read.
    """
    questions, scoring = list_questions(samples), settings.scoring
    check_scoring(samples, scoring)
    passes = AnswerPasses(language, settings, folder, console)
    rows = scoring.build_rows(questions, passes.answer("own", model, questions, "answering"))
    blind_answers = answer_blind(passes, model, blind, questions)
    blind_rows = {name: scoring.build_rows(questions, answers) for name, answers in blind_answers.items()}
    others = answer_others(passes, model, questions) if settings.other_question else {}
    scores = summarize(questions, rows, blind_rows, scoring, score_others(questions, others, scoring))
    predictions = build_predictions(questions, rows, blind_answers, scoring, others)
    write_jsonl(folder / PREDICTIONS, predictions)
    write_json(folder / SCORES, scores)
    draw_samples(predictions, folder / PICTURE)
    return scores


def answer_blind(
    passes: AnswerPasses, model: EvaluatedModel, blind: EvaluatedModel | None, questions: Sequence[EvalQuestion]
) -> dict[str, list[str]]:
    """The answers without the right image, by the name of the blind score.

    `shuffled` has the answers to other images, `trained` those of the no-image baseline.

    Raises:
        UserError: transformers refuses the options of generation, or an image cannot be read.
    """
    answers = {}
    if passes.settings.shuffled:
        shuffled = shuffle_images(questions, passes.settings.seed)
        answers["shuffled"] = passes.answer("shuffled", model, shuffled, "answering, images shuffled")
    if blind is not None:
        without = [drop_image(question) for question in questions]
        answers["trained"] = passes.answer("trained", blind, without, "answering, no-image baseline")
    return answers


def answer_others(
    passes: AnswerPasses, model: EvaluatedModel, questions: Sequence[EvalQuestion]
) -> dict[int, tuple[str, str]]:
    """Another question that was asked about the image of a question, and its answer, by the place of the question.

    Benchmarks are left out, and families where nearly all questions are the same.

    Raises:
        UserError: transformers refuses the options of generation, or an image cannot be read.
    """
    own = {
        place: other
        for place, other in enumerate(shuffle_questions(questions, passes.settings.seed))
        if other is not None and other.family not in passes.settings.benchmarks
    }
    answers = passes.answer("other", model, list(own.values()), "answering, other questions") if own else []
    return {
        place: (other.sample.turns[other.turn].question, answer)
        for (place, other), answer in zip(own.items(), answers, strict=True)
    }


def score_others(
    questions: Sequence[EvalQuestion], others: Mapping[int, tuple[str, str]], scoring: Scoring
) -> dict[int, float]:
    """The scores of answers to other questions, as answers to the own ones."""
    return {place: scoring.score(questions[place], answer) for place, (_, answer) in others.items()}


def build_predictions(
    questions: Sequence[EvalQuestion],
    rows: Sequence[Mapping[str, Any]],
    blind_answers: Mapping[str, Sequence[str]],
    scoring: Scoring,
    others: Mapping[int, tuple[str, str]],
) -> list[dict[str, Any]]:
    """The lines of predictions.jsonl, one for each question."""
    return [
        {
            "id": question.sample.id,
            "turn": question.turn,
            "image": None if question.sample.image is None else str(question.sample.image),
            "family": question.family,
            "question": question.sample.turns[question.turn].question,
            "reference": question.reference,
            "references": question.references,
            "prediction": rows[index]["prediction"],
            "score": rows[index]["score"],
            # With these, others can tell which runs answered the same questions.
            METRIC: scoring.name_metric(question.family),
            IMAGE_DIGEST: digest_image(question.sample.image),
            **{f"blind_{name}": answers[index] for name, answers in blind_answers.items()},
            **(dict(zip(OTHER_KEYS, others[index], strict=True)) if index in others else {}),
            "meta": dict(question.sample.turns[question.turn].meta),
        }
        for index, question in enumerate(questions)
    ]


def check_scoring(samples: Sequence[Sample], scoring: Scoring) -> None:
    """Check, before anything is answered, that every question can be scored.

    Raises:
        UserError: a metric or benchmark cannot score such references.
    """
    questions = list_questions(samples)
    rows = scoring.build_rows(questions, [""] * len(questions))
    for name in scoring.benchmarks:
        own = [row for question, row in zip(questions, rows, strict=True) if question.family == name]
        BENCHMARKS[name].check_categories(name, own)
