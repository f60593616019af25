"""Run folders in any state: finished, incomplete, damaged, or of another version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eaglebench.evaluation.benchmarks import build_average_entry
from eaglebench.report.predictions import ChosenPredictions, choose_predictions
from eaglebench.report.question_sets import FamilyQuestions, as_mapping, find_question_set
from eaglebench.report.run_files import (
    READ_ERRORS,
    count_parameters,
    read_config,
    read_json,
    read_scores,
    sum_training_seconds,
)
from eaglebench.report.settings import OVERALL, ScoredRun, flatten_setting
from eaglebench.runs import (
    BENCHMARK_SCORES,
    BENCHMARKED,
    CONFIG,
    MANIFEST,
    MODEL,
    PREDICTIONS,
    SCORES,
    benchmark_predictions,
    other_version,
)
from eaglebench.utils.errors import first_line

NO_PREDICTIONS = ChosenPredictions({}, 0, 0, {})


@dataclass(frozen=True)
class RunEntry:
    """A run folder as the report shows it.

    Attributes:
        path: the folder.
        config: all fields of its config; empty if they cannot be read.
        setting: the fields that can change a result, by dotted name; empty if they are unknown.
        run: its setting with its scores; None if one of them is unknown.
        parameters: of its whole model; None without weights.
        seconds: training time of its stages, in this run or in the one that they were reused from; None if it is
            unknown.
        problems: what is wrong with the folder, a sentence each; empty for a finished run.
        chosen: its predictions for the page.
        remarks: what a reader of its scores should know, a sentence each.
    """

    path: Path
    config: Mapping[str, Any]
    setting: Mapping[str, str]
    run: ScoredRun | None
    parameters: int | None
    seconds: float | None
    problems: Sequence[str]
    chosen: ChosenPredictions = NO_PREDICTIONS
    remarks: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.name

    @property
    def finished(self) -> bool:
        """Whether the run is complete and readable."""
        return not self.problems

    @property
    def smoke_test(self) -> bool:
        """Whether the run has fast=true: its scores mean nothing."""
        return bool(self.config.get("fast"))


def is_run(folder: Path) -> bool:
    """Whether a training began to write the folder."""
    return any((folder / name).is_file() for name in (CONFIG, MANIFEST, SCORES, PREDICTIONS))


def read_entry(folder: Path, identify: Callable[[Mapping[str, Any]], Mapping[str, Any]], limit: int) -> RunEntry:
    """The run of a folder; what cannot be read is among its problems.

    Args:
        folder: a run folder.
        identify: gives the fields of a config that can change a result.
        limit: most predictions of its `chosen`.
    """
    problems: list[str] = []

    def attempt(name: str, read: Callable[[Path], Any]) -> Any:
        if not (folder / name).is_file():
            problems.append(f"no {name}" + (": the training has not ended" if name == MANIFEST else ""))
            return None
        try:
            return read(folder / name)
        except READ_ERRORS as error:
            problems.append(f"{name} cannot be read ({first_line(error)})")
            return None

    config = attempt(CONFIG, read_config) or {}
    benchmarks = attempt(BENCHMARK_SCORES, read_scores) if (folder / BENCHMARK_SCORES).is_file() else None
    if benchmarks is not None and not (folder / SCORES).is_file():  # a training without held-out data
        own = scores = benchmarks
    else:
        own = attempt(SCORES, read_scores)
        scores = own and add_benchmarks(own, benchmarks or {"families": {}})
    manifest = attempt(MANIFEST, read_json)
    setting: dict[str, str] = {}
    if config:
        try:
            setting = read_setting(folder, config, identify)
        except (ValueError, RecursionError) as error:
            problems.append(str(error))
    chosen, remarks = read_predictions(folder, config, limit)
    run = None
    if setting and scores:
        questions = find_question_set(config, manifest or {}, own["families"], chosen.questions)
        run = ScoredRun(folder.name, config["seed"], setting, scores, questions)
        remarks += describe_gaps(own, chosen.questions)
    seconds = sum_training_seconds(manifest)
    parameters = count_parameters(folder / MODEL)
    return RunEntry(folder, config, setting, run, parameters, seconds, tuple(problems), chosen, tuple(remarks))


def read_predictions(folder: Path, config: Mapping[str, Any], limit: int) -> tuple[ChosenPredictions, list[str]]:
    """The predictions of a run folder, and a sentence about those that cannot be read."""
    own = [folder / PREDICTIONS] if (folder / PREDICTIONS).is_file() else []
    evaluation = as_mapping(config.get("evaluation"))
    try:
        chosen = choose_predictions([*own, *benchmark_predictions(folder / BENCHMARKED)], limit, evaluation)
    except (*READ_ERRORS, TypeError, AttributeError) as error:
        return NO_PREDICTIONS, [f"{PREDICTIONS} cannot be read ({first_line(error)})"]
    return chosen, [f"{PREDICTIONS}: {chosen.damaged} lines cannot be read"] if chosen.damaged else []


def describe_gaps(counted: Mapping[str, Any], answered: Mapping[str, FamilyQuestions]) -> list[str]:
    """A sentence about predictions that are missing; none if there are as many as the scores count.

    Args:
        counted: the scores.
        answered: the questions that have a prediction, by family.
    """
    families = counted["families"]
    found = sum(answered[name].count for name in families if name in answered)
    if found == counted[OVERALL].get("n", found) and families.keys() <= answered.keys():
        return []
    wanted = f"{counted[OVERALL]['n']:,.0f}" if "n" in counted[OVERALL] else "more"
    return [f"{PREDICTIONS} has {found:,} answers, and {SCORES} counts {wanted}: its config says what else was asked"]


def read_setting(
    folder: Path, config: Mapping[str, Any], identify: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, str]:
    """The setting of the config in a run folder; `identify` as for `read_entry`.

    Raises:
        ValueError: another version of eaglebench wrote the config, or it lacks a field.
    """
    if not isinstance(config.get("seed"), int):
        raise ValueError(f"{CONFIG} has no seed")
    try:
        if reason := other_version(folder, config):
            raise ValueError(reason)
        return flatten_setting(identify(config))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{CONFIG} is incomplete ({first_line(error)})") from error


def add_benchmarks(scores: Mapping[str, Any], benchmarks: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of a run with the families of later benchmarks, and Eagle's average if it has all eleven."""
    families = {**scores["families"], **benchmarks["families"]}
    return {OVERALL: scores[OVERALL], "families": families, **build_average_entry(families)}
