"""task=eval: evaluate a finished run again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from eaglebench.config.build import QUICK, build_data, build_evaluation, build_store, build_workshop
from eaglebench.config.compose import take_overrides
from eaglebench.data.sample import Sample
from eaglebench.evaluation.evaluate import Evaluated, Settings, check_scoring, evaluate, forget_answers
from eaglebench.evaluation.scoring import together
from eaglebench.evaluation.tables import scores_table
from eaglebench.evaluation.validation import evenly
from eaglebench.model.factory import Workshop
from eaglebench.runs import BENCHMARKED, MODEL, SCORES, load_config, load_model
from eaglebench.stages.blind import BLIND, blind_model
from eaglebench.stages.prune import manifest_of
from eaglebench.stages.runner import State
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_object, write_json
from eaglebench.utils.hashing import digest, file_digest

FOLDER = "eval"  # inside the run's
OF = "of"  # in the scores of benchmarks: the digest of the weights, and of how they answered


def evaluate_run(cfg: DictConfig) -> None:
    """Evaluate `cfg.run` with its own settings, or the command line's where it names what is CHANGEABLE.

    Official benchmarks have a folder each in the run's `benchmarks`, and one table of all that its weights were asked. With debug=fast,
    a few questions go into folders of their own.
    """
    console = new_console()
    run = load_config(cfg.run)
    take_overrides(run, cfg, HydraConfig.get().overrides.task)
    run.debug = cfg.debug
    if "tasks" in run.evaluation:
        from eaglebench.integrations.lmms_eval.evaluate import evaluate_lmms

        evaluate_lmms(cfg, run)
        return
    data = build_data(run, console.print, training=False)
    if not data.val:
        raise UserError("there is nothing to evaluate: give a file of questions and answers, data.val=FILE.")
    settings, workshop = build_evaluation(run), build_workshop(run, trained=True)
    check_scoring(data.val, settings.scoring)
    model, language = load_model(cfg.run, workshop)
    own = Evaluated(file_digest(Path(cfg.run) / MODEL), lambda: model)
    blind = trained_blind(Path(cfg.run), run, workshop, console)

    fast = cfg.debug == "fast"
    folder = Path(cfg.run) / ((BENCHMARKED if settings.benchmarks else FOLDER) + ("-fast" if fast else ""))

    def scores(samples: Sequence[Sample], folder: Path, settings: Settings) -> dict[str, Any]:
        return evaluate(own, language, samples, settings, folder, console, blind)

    if not settings.benchmarks:
        result, folders = scores(evenly(data.val, QUICK) if fast else data.val, folder, settings), [folder]
    else:
        families: dict[str, Any] = {}
        folders = [folder / name for name in settings.benchmarks]
        for place, name in zip(folders, settings.benchmarks, strict=True):
            asked = [sample for sample in data.val if sample.turns[0].family == name]
            families |= scores(asked, place, replace(settings, benchmarks=[name]))["families"]
        of = digest([own.of, settings.generate], 16)
        result = with_others(folder / SCORES, of, families)
        write_json(folder / SCORES, {OF: of, **result})
    for place in folders:
        forget_answers(place)
    console.print(scores_table(result), f"wrote {folder}", soft_wrap=True)


def with_others(path: Path, of: str, families: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of all benchmarks that the same weights answered in the same way: those that a file has of them, and new ones."""
    before = read_object(path) or {}
    return together({**(before["families"] if before.get(OF) == of else {}), **families})


def trained_blind(folder: Path, run: DictConfig, workshop: Workshop, console: Console) -> Evaluated | None:
    """What was trained without images beside a run, where `evaluation.blind` is not switched off; nothing, which is told, if that is not
    to be had."""
    if not run.evaluation.blind.steps:
        return None
    stages = (manifest_of(folder) or {}).get("stages", [])
    keys = [unit["key"] for unit in stages if unit["label"] == BLIND]
    artefact = build_store(run, console.print).get(BLIND, keys[0]) if keys else None
    if artefact is None:
        console.print(
            f"no model that was trained without images beside this run is in store={run.store}: no blind scores of one",
            soft_wrap=True,
        )
        return None
    state = State()
    state.take(keys[0], ("llm",), artefact.weights)
    return Evaluated(keys[0], cache(lambda: blind_model(workshop, state)))
