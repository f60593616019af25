"""One training run: its stages, its evaluation, and its folder."""

import gc
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from eaglebench.config.build import build_blind, build_factory, build_loggers, build_stages, build_store, build_trainer
from eaglebench.config.build_data import build_data, build_evaluation, build_validator
from eaglebench.config.compose import Command
from eaglebench.config.finished_run import is_done
from eaglebench.config.inputs import input_fingerprints
from eaglebench.data.source import DataSource
from eaglebench.evaluation.answering import EvaluatedModel, remove_answer_logs
from eaglebench.evaluation.evaluate import check_scoring, evaluate
from eaglebench.evaluation.figure import first_per_family
from eaglebench.evaluation.questions import list_questions
from eaglebench.evaluation.tables import build_scores_table
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel, build_encoder
from eaglebench.runs import (
    BENCHMARK_SCORES,
    INPUTS,
    MANIFEST,
    MODEL,
    MODEL_SHA256,
    PICTURE,
    PREDICTIONS,
    SCORES,
    finish_replacing,
    is_finished,
    lock_run,
    replace_run,
    rerun_folder,
    write_run_config,
)
from eaglebench.stages.blind import Blind, build_blind_model
from eaglebench.stages.features import FeatureCache
from eaglebench.stages.runner import Runner, StageResult
from eaglebench.stages.summary import build_parts_table, summarize_parts
from eaglebench.stages.trained_weights import TrainedWeights
from eaglebench.tasks.train import show_finished
from eaglebench.training.devices import Devices
from eaglebench.training.preemption import requeue_on_warning
from eaglebench.training.run_logger import Rows, RunLogger, find_run_loggers
from eaglebench.training.strategies import find_cluster_environment
from eaglebench.utils.console import new_console
from eaglebench.utils.distributed import broadcast_from_main, is_main_process, main_process_first, process_group
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_unchanged
from eaglebench.utils.provenance import collect_versions
from eaglebench.weights.files import write_weights

BLIND_SEED = 0
OUTPUTS = (MODEL, MANIFEST, SCORES, PREDICTIONS, PICTURE, BENCHMARK_SCORES)
LOGGED_COLUMNS = ("id", "family", "image", "question", "reference", "prediction", "score")  # of a sample answer


@dataclass
class TrainedRun:
    """A run whose stages are finished, and which is to be evaluated.

    Attributes:
        started: `time.monotonic()` at the beginning of the run, in seconds.
        console: where it logs.
        data: its samples.
        loggers: of Lightning.
        model: with all trained weights, and its language model.
        blind: the model that was trained without images; None if it is switched off.
        results: of the units of all stages, that of `blind` the last.
        inputs: the state of the files that the run reads, from before it did.
    """

    started: float
    console: Console
    data: DataSource
    loggers: list[Any]
    model: tuple[EagleModel, LanguageModel]
    blind: EagleModel | None
    results: list[StageResult]
    inputs: dict[str, Any]


def train(command: Command) -> None:
    """Train and evaluate one run, and write its folder; called in each of the processes that train it together.

    Raises:
        UserError: the parts do not fit together, a file cannot be used, or a stage cannot be trained.
    """
    trainer = command.config.trainer
    environment = find_cluster_environment(trainer.processes)
    assert environment is not None
    devices = Devices(trainer.accelerator, trainer.precision, trainer.processes)
    with requeue_on_warning(print), ExitStack() as held:
        if not gc.get_freeze_count():  # what the caller froze stays frozen
            gc.freeze()  # what is imported stays: collections between stages need not look through it, a second each
            held.callback(gc.unfreeze)
        with process_group(environment, devices.backend):
            work = broadcast_from_main(lambda: begin_run(command, held))
            if work is None:
                return
            trained = train_stages(work)
        if trained is None:
            return
        seconds = finish_run(work, trained)
        if work.folder != command.folder:
            replace_run(command.folder)
        written = ", ".join(sorted(path.name for path in command.folder.iterdir() if path.is_file()))
        trained.console.print(f"{seconds:.0f} s; wrote {command.folder}/: {written}")


def begin_run(command: Command, held: ExitStack) -> Command | None:
    """The command with the folder that it trains into, whose lock is held; None if its run is finished.

    Raises:
        UserError: the folder holds another finished run, or cannot be written.
    """
    folder = command.folder
    held.enter_context(lock_run(folder, print))
    finish_replacing(folder)
    if is_done(command):
        show_finished(command)
        return None
    return replace(command, folder=rerun_folder(folder)) if is_finished(folder) else command


def train_stages(command: Command) -> TrainedRun | None:
    """Train all stages and the model without images, and write the model; None in all but the main process."""
    started = time.monotonic()
    console, config = new_console(), command.config
    factory, stages = build_factory(config), build_stages(config)
    # first: what does not fit together is refused before any work
    model, language = factory.build_model(factory.experts)
    parts = summarize_parts(model, factory, stages)
    console.print(build_parts_table(parts))
    for note in model.fusion.notes if model.fusion is not None else ():
        console.print(note, soft_wrap=True)
    encoder = build_encoder(model, language)
    del model, language  # each stage has one of its own
    inputs = input_fingerprints(config) if is_main_process() else {}
    data = main_process_first(lambda: build_data(config, console.print))
    settings = build_evaluation(config)
    check_scoring(data.val, settings.scoring)
    settings.limits.fit(list_questions(data.val), encoder)  # refused now, not after the training
    loggers = main_process_first(lambda: open_loggers(command, parts, console))
    store, trainer = build_store(config, console.print), build_trainer(config, loggers, console)
    # Several processes train on shards that are gathered in each step; their experts run in each.
    features = (
        None
        if trainer.world_size > 1
        else FeatureCache(store, config.data.features_mb, config.trainer.device, console.print)
    )
    runner = Runner(factory, data, store, trainer, console.print, build_validator(config, data), features)
    if is_main_process():
        for name in OUTPUTS:  # of an earlier run in this folder: none may be taken for this one's
            (command.folder / name).unlink(missing_ok=True)
        write_run_config(command.folder, command.resolved)

    trained, results = runner.run(stages)
    blind, blind_model = build_blind(config) if data.val else None, None
    if blind is not None:
        # Of one seed, so that it is trained once for each data set.
        trainer = build_trainer(config, loggers, console, BLIND_SEED)
        blind_runner = Runner(build_factory(config, BLIND_SEED), data, store, trainer, console.print)
        result, blind_model = train_blind(blind_runner, blind)
        results.append(result)
    if not is_main_process():
        return None
    model, language = factory.build_model(factory.experts)
    trained.load_into(model.parts())
    write_weights(command.folder / MODEL, model.state_dict())
    return TrainedRun(started, console, data, loggers, (model, language), blind_model, results, inputs)


def train_blind(runner: Runner, blind: Blind) -> tuple[StageResult, EagleModel]:
    """The model that never saw an image, from the store or trained."""
    trained = TrainedWeights()
    (unit,) = blind.units(runner.factory)
    result = runner.run_unit(blind, unit, trained)
    return result, build_blind_model(runner.factory, trained)


def open_loggers(command: Command, parts: Rows, console: Console) -> list[Any]:
    """The run's loggers; those that show a whole run get its config and parts."""
    loggers = build_loggers(command.config, command.folder)
    for run_logger in find_run_loggers(loggers):
        run_logger.begin(command.resolved, parts, lambda line: console.print(line, soft_wrap=True))
    return loggers


def finish_run(command: Command, run: TrainedRun) -> float:
    """Evaluate a trained run, write the rest of its folder, and return the seconds that it took."""
    console, folder = run.console, command.folder
    scores = evaluate_trained(command, run) if run.data.val else None
    services = find_run_loggers(run.loggers)
    log_scores([logger for logger in run.loggers if logger not in services], scores)
    seconds = round(time.monotonic() - run.started, 1)
    # The last file of the folder: with it, the run is finished. Services follow, which may take long and fail.
    write_json(folder / MANIFEST, build_manifest(command, run, seconds))
    log_scores(services, scores)
    show_run(services, scores, folder)
    console.print(build_scores_table(scores) if scores is not None else "data.val is not set: nothing is evaluated")
    return seconds


def evaluate_trained(command: Command, run: TrainedRun) -> dict[str, Any]:
    """The scores of a trained run, beside those of its model without images."""
    model, language = run.model
    own = EvaluatedModel(hash_unchanged(command.folder / MODEL), lambda: model)
    blind = None
    if (blind_model := run.blind) is not None:
        blind = EvaluatedModel(run.results[-1].key, lambda: blind_model)
    settings = build_evaluation(command.config)
    scores = evaluate(own, language, run.data.val, settings, command.folder, run.console, blind)
    remove_answer_logs(command.folder)
    return scores


def log_scores(loggers: Sequence[Any], scores: dict[str, Any] | None) -> None:
    """Give the scores to loggers, and tell them that the run has succeeded."""
    for logger in loggers:
        if scores is not None:
            families = {f"eval/{name}": row["score"] for name, row in scores["families"].items()}
            logger.log_metrics({"eval/score": scores["overall"]["score"], **families})
        logger.finalize("success")


def show_run(services: Sequence[RunLogger], scores: dict[str, Any] | None, folder: Path) -> None:
    """Show the scores and some answers in the services that show a whole run, and close it there."""
    for run_logger in services:
        if scores is not None:
            with (folder / PREDICTIONS).open(encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            answers = [{name: row[name] for name in LOGGED_COLUMNS} for row in first_per_family(rows)]
            run_logger.show(scores, answers)
        run_logger.close()


def build_manifest(command: Command, run: TrainedRun, seconds: float) -> dict[str, Any]:
    """What was done for a run, and with what."""
    return {
        "run": command.folder.name,
        "seed": command.config.seed,
        "seconds": seconds,
        MODEL_SHA256: hash_unchanged(command.folder / MODEL),
        INPUTS: run.inputs,
        "stages": [
            {
                "label": result.label,
                "key": result.key,
                "reused": result.reused,
                **{name: result.manifest[name] for name in ("steps", "last_loss", "seconds")},
            }
            for result in run.results
        ],
        "versions": collect_versions(),
    }
