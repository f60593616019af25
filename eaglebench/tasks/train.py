"""task=train: the stages, the evaluation, and the run folder."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from eaglebench.config.build import (
    build_blind,
    build_data,
    build_evaluation,
    build_fit,
    build_loggers,
    build_look,
    build_stages,
    build_store,
    build_factory,
)
from eaglebench.config.compose import Command
from eaglebench.config.inputs import INPUTS, input_states
from eaglebench.config.schema import Config, plain, processes_of
from eaglebench.data.source import DataSource
from eaglebench.evaluation.answering import EvaluatedModel, remove_answer_logs
from eaglebench.evaluation.evaluate import check_scoring, evaluate
from eaglebench.evaluation.figure import first_per_family
from eaglebench.evaluation.tables import build_scores_table
from eaglebench.language.base import LanguageModel
from eaglebench.launchers.base import build_launcher, job_of
from eaglebench.model.eagle import EagleModel
from eaglebench.runs import BENCHMARKED, MANIFEST, MODEL, PICTURE, PREDICTIONS, SCORES, save_config, save_model
from eaglebench.stages.blind import Blind, blind_model
from eaglebench.stages.runner import Finished, Runner, State
from eaglebench.stages.summary import parts_rows, parts_table
from eaglebench.training.hyperparameters import micro_batch_size
from eaglebench.training.preemption import listening
from eaglebench.training.run_logger import Rows, trackers
from eaglebench.training.strategies import Devices, environment
from eaglebench.utils.console import new_console
from eaglebench.utils.distributed import is_main_process, main_process_first, process_group
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_file
from eaglebench.utils.provenance import collect_versions

BLIND_SEED = 0
OUTPUTS = (MODEL, MANIFEST, SCORES, PREDICTIONS, PICTURE, f"{BENCHMARKED}/{SCORES}")
TOLD = ("id", "family", "image", "question", "reference", "prediction", "score")  # of a sample answer, to trackers


def train(cfg: DictConfig) -> None:
    """Train and evaluate one run, and write its folder; in each of the processes that train it together."""
    count = processes_of(cfg)
    where = environment(count)
    assert where is not None
    backend = Devices(cfg.trainer.accelerator, cfg.trainer.precision, count).backend
    with listening(print):
        with process_group(where, backend):
            trained = train_stages(cfg)
        if trained is not None:
            finish(cfg, trained)


@dataclass
class Trained:
    """A run whose stages are finished."""

    started: float
    console: Console
    folder: Path
    data: DataSource
    loggers: list[Any]  # of Lightning
    model: tuple[EagleModel, LanguageModel]
    blind: EagleModel | None
    finished: list[Finished]
    inputs: dict[str, Any]  # the state of the files that it read, before it did


def train_stages(cfg: DictConfig) -> Trained | None:
    """Train all stages, and the model without images, and write the model; None in processes that do not lead."""
    started = time.monotonic()
    console = new_console()
    folder = Path(HydraConfig.get().runtime.output_dir)
    factory, stages = build_factory(cfg), build_stages(cfg)
    model, language = factory.build_model(factory.experts)  # first: what does not fit together is refused before any work
    parts = parts_rows(model, factory, stages)
    console.print(parts_table(parts))
    for note in model.fusion.notes if model.fusion is not None else ():
        console.print(note, soft_wrap=True)
    del model, language  # each stage has one of its own
    inputs = input_states(cfg) if is_main_process() else {}
    data = main_process_first(lambda: build_data(cfg, console.print))
    check_scoring(data.val, build_evaluation(cfg).scoring)
    loggers = main_process_first(lambda: open_loggers(cfg, folder, parts, console))
    store, fit = build_store(cfg, console.print), build_fit(cfg, loggers, console)
    runner = Runner(factory, data, store, fit, console.print, build_look(cfg, data))
    if is_main_process():
        for name in OUTPUTS:  # of an earlier run in this folder: none may be taken for this one's
            (folder / name).unlink(missing_ok=True)
        save_config(folder, cfg)

    state, finished = runner.run(stages)
    blind, sightless = build_blind(cfg) if data.val else None, None
    if blind is not None:
        # Of one seed, so that it is trained once for each data set.
        fit = build_fit(cfg, loggers, console, BLIND_SEED)
        blind_runner = Runner(build_factory(cfg, BLIND_SEED), data, store, fit, console.print)
        unit, sightless = train_blind(blind_runner, blind)
        finished.append(unit)
    if not is_main_process():
        return None
    model, language = factory.build_model(factory.experts)
    state.load_into(model.parts())
    save_model(folder, model)
    return Trained(started, console, folder, data, loggers, (model, language), sightless, finished, inputs)


def finish(cfg: DictConfig, run: Trained) -> None:
    """Evaluate a trained run, and write the rest of its folder."""
    console, folder, (model, language) = run.console, run.folder, run.model
    scores = None
    if run.data.val:
        own = EvaluatedModel(hash_file(folder / MODEL), lambda: model)
        sightless = run.blind
        blind = None if sightless is None else EvaluatedModel(run.finished[-1].key, lambda: sightless)
        scores = evaluate(own, language, run.data.val, build_evaluation(cfg), folder, console, blind)
        remove_answer_logs(folder)
    # Before anything is told to others, which may take long and fail: the run is finished.
    seconds = round(time.monotonic() - run.started, 1)
    write_json(folder / MANIFEST, manifest(cfg, run, seconds))
    for logger in run.loggers:
        if scores is not None:
            families = {f"eval/{name}": row["score"] for name, row in scores["families"].items()}
            logger.log_metrics({"eval/score": scores["overall"]["score"], **families})
        logger.finalize("success")
    for tracker in trackers(run.loggers):
        if scores is not None:
            with (folder / PREDICTIONS).open(encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            tracker.show(scores, [{name: row[name] for name in TOLD} for row in first_per_family(rows)])
        tracker.close()
    console.print(build_scores_table(scores) if scores is not None else "data.val is not set: nothing is evaluated")
    written = sorted(path.name for path in folder.iterdir() if path.is_file())
    console.print(f"{seconds:.0f} s; wrote {folder}/: {', '.join(written)}")


def open_loggers(cfg: DictConfig, folder: Path, parts: Rows, console: Console) -> list[Any]:
    """The run's loggers; trackers among them know its config and parts."""
    loggers = build_loggers(cfg, folder)
    for tracker in trackers(loggers):
        tracker.begin(plain(cfg), parts, lambda line: console.print(line, soft_wrap=True))
    return loggers


def train_blind(runner: Runner, blind: Blind) -> tuple[Finished, EagleModel]:
    """The model that never saw an image, from the store or trained."""
    state = State()
    (unit,) = blind.units(runner.factory)
    finished = runner.run_unit(blind, unit, state)
    return finished, blind_model(runner.factory, state)


def manifest(cfg: DictConfig, run: Trained, seconds: float) -> dict[str, Any]:
    """What was done for a run, and with what."""
    return {
        "run": run.folder.name,
        "seed": cfg.seed,
        "seconds": seconds,
        INPUTS: run.inputs,
        "stages": [
            {
                "label": unit.label,
                "key": unit.key,
                "reused": unit.reused,
                **{name: unit.manifest[name] for name in ("steps", "last_loss", "seconds")},
            }
            for unit in run.finished
        ],
        "versions": collect_versions(),
    }


def launch(command: Command) -> None:
    """Train the run of a command: in this process, or wherever the launcher runs it.

    Raises:
        UserError: the devices cannot train this run together, or the launcher cannot run it.
    """
    job = job_of(command)
    check_processes(command.config, job.processes)
    if not build_launcher(command.config.launcher).run_elsewhere(job):
        train(command)


def check_processes(config: Config, count: int) -> None:
    """Refuse, before anything is started, what `count` processes cannot train together.

    Raises:
        UserError: the store, the accelerator or a batch size is for fewer processes.
    """
    if count > 1 and config.store_folder is None:
        raise UserError("store=none is for one process: several share weights through the store; give a folder.")
    if count > 1 and config.trainer.accelerator not in ("cpu", "gpu", "cuda"):
        raise UserError(f"trainer.accelerator={config.trainer.accelerator} is for one process: say cpu or gpu.")
    for name, stage in config.stages.items():
        micro_batch_size(f"stages.{name}", stage.batch_size, stage.micro_batch, count)
