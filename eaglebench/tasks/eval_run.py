"""One more evaluation of a finished run: its own held-out questions, others, or official benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from eaglebench.config.build import build_factory, build_store, load_trained_model
from eaglebench.config.build_data import FAST_QUESTIONS, build_data, build_evaluation
from eaglebench.config.schema import Config
from eaglebench.data.sample import Sample
from eaglebench.evaluation.answering import EvaluatedModel, remove_answer_logs
from eaglebench.evaluation.evaluate import check_scoring, evaluate
from eaglebench.evaluation.evaluation_settings import EvaluationSettings
from eaglebench.evaluation.questions import list_questions
from eaglebench.evaluation.scoring import merge_families
from eaglebench.evaluation.tables import build_scores_table
from eaglebench.evaluation.validation import take_evenly
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import build_encoder
from eaglebench.runs import BENCHMARKED, BLIND, EVALUATED, MANIFEST, MODEL, SCORES, lock_run
from eaglebench.stages.blind import build_blind_model
from eaglebench.stages.trained_weights import TrainedWeights
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_json_object, write_json
from eaglebench.utils.hashing import hash_json, hash_unchanged

OF = "of"  # in the scores of benchmarks: the hash of the weights, and of how they answered
FAST = "-fast"  # ends the names of folders that hold a smoke test's scores


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and where it is logged."""

    model: EvaluatedModel
    language: LanguageModel
    blind: EvaluatedModel | None
    console: Console

    def scores(self, samples: Sequence[Sample], folder: Path, settings: EvaluationSettings) -> dict[str, Any]:
        """Answer and score the samples, and write everything into a folder."""
        return evaluate(self.model, self.language, samples, settings, folder, self.console, self.blind)


def evaluate_again(run: Path, config: Config) -> None:
    """Evaluate a finished run with the settings of `config`, and print its scores.

    Official benchmarks have a folder each in the run's `benchmarks/`, and one table of all that the run was evaluated
    on. With fast=true, a few questions go into folders of their own.

    Raises:
        UserError: there is nothing to evaluate, or questions that the metrics cannot score.
    """
    console = new_console()
    with lock_run(run, console.print):
        evaluate_locked(run, config, console)


def evaluate_locked(run: Path, config: Config, console: Console) -> None:
    """As `evaluate_again`, in the process that holds the lock of the run folder."""
    data = build_data(config, console.print, training=False)
    if not data.val:
        raise UserError("there is nothing to evaluate: give a file of questions and answers, data.val=FILE.")
    settings = build_evaluation(config)
    check_scoring(data.val, settings.scoring)
    model, language = load_trained_model(config, run)
    settings.limits.fit(list_questions(data.val), build_encoder(model, language))  # of all benchmarks, before the first
    own = EvaluatedModel(hash_unchanged(run / MODEL), lambda: model)
    evaluation = Evaluation(own, language, load_blind(run, config, console), console)
    folder = run / ((BENCHMARKED if settings.benchmarks else EVALUATED) + (FAST if config.fast else ""))
    if settings.benchmarks:
        result, folders = evaluate_benchmarks(evaluation, data.val, settings, folder)
    else:
        samples = take_evenly(data.val, FAST_QUESTIONS) if config.fast else data.val
        result, folders = evaluation.scores(samples, folder, settings), [folder]
    for written in folders:
        remove_answer_logs(written)
    console.print(build_scores_table(result), f"wrote {folder}", soft_wrap=True)


def evaluate_benchmarks(
    evaluation: Evaluation, samples: Sequence[Sample], settings: EvaluationSettings, folder: Path
) -> tuple[dict[str, Any], list[Path]]:
    """The scores of all benchmarks so far, and the folders of those that were evaluated now."""
    families: dict[str, Any] = {}
    folders = [folder / name for name in settings.benchmarks]
    for own_folder, name in zip(folders, settings.benchmarks, strict=True):
        questions = [sample for sample in samples if sample.turns[0].family == name]
        families |= evaluation.scores(questions, own_folder, replace(settings, benchmarks=[name]))["families"]
    of = hash_json([evaluation.model.fingerprint, settings.generate], 16)
    result = merge_earlier(folder / SCORES, of, families)
    write_json(folder / SCORES, {OF: of, **result})
    return result, folders


def merge_earlier(path: Path, of: str, families: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of all benchmarks that the same weights answered in the same way: those of earlier commands, and new
    ones.
    """
    before = read_json_object(path) or {}
    return merge_families({**(before["families"] if before.get(OF) == of else {}), **families})


def load_blind(folder: Path, config: Config, console: Console) -> EvaluatedModel | None:
    """The model without images that was trained beside a run; None if it is switched off or no longer in the store,
    which is logged.
    """
    if not config.scoring.blind.steps:
        return None
    stages = (read_json_object(folder / MANIFEST) or {}).get("stages", [])
    keys = [unit["key"] for unit in stages if unit["label"] == BLIND]
    artefact = build_store(config, console.print).get(BLIND, keys[0]) if keys else None
    if artefact is None:
        console.print(
            f"the model without images of this run is not in store={config.store}: no blind scores of it",
            soft_wrap=True,
        )
        return None
    trained = TrainedWeights()
    trained.add(keys[0], ("llm",), artefact.weights)
    factory = build_factory(config, trained=True)
    return EvaluatedModel(keys[0], cache(lambda: build_blind_model(factory, trained)))
