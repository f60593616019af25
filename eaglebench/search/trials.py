"""Trials: the runs that a selection or a sweep starts, several side by side. Finished ones are not run again."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rich.console import Console

from eaglebench.config.compose import Command
from eaglebench.config.inputs import input_fingerprints
from eaglebench.launchers.base import Job, Launcher, Slot, job_lock, job_of, stop_on_exit
from eaglebench.runs import INPUTS, MANIFEST, SCORES, is_finished
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import read_json_object

NO_SCORES = "it ended without scores for its current input files"


@dataclass(frozen=True)
class Trial:
    """A run that is wanted: its label in logs, and the overrides that no other trial has."""

    label: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a trial.

    Attributes:
        trial: the trial.
        folder: its run folder; empty if its config is invalid.
        scores: the contents of its `scores.json`; None if it failed.
        reused: whether it was finished before this command.
        error: why it failed; None if it did not.
    """

    trial: Trial
    folder: Path
    scores: Mapping[str, Any] | None
    reused: bool = False
    error: str | None = None


@dataclass(frozen=True)
class PreparedTrial:
    """A trial with its composed command and the job that runs it."""

    trial: Trial
    command: Command
    job: Job

    def result(self, scores: Mapping[str, Any] | None, reused: bool, error: str | None = None) -> TrialResult:
        """The outcome of this trial."""
        return TrialResult(self.trial, self.job.folder, scores, reused, error)


def run_trials(
    trials: Sequence[Trial], command: Command, launcher: Launcher, console: Console, common: Sequence[str] = ()
) -> list[TrialResult]:
    """Run the trials that are not finished, and return all results in the order of the trials.

    A trial that fails is logged; the others run on.

    Args:
        command: starts the trials; they are composed with its search path.
        launcher: runs the trials, `launcher.at_once` side by side.
        console: logs each result.
        common: overrides that all trials get.

    Raises:
        UserError: the launcher cannot be used on this machine.
    """
    launcher.check()
    started = time.monotonic()
    results: dict[Trial, TrialResult] = {}
    slots: SimpleQueue[int] = SimpleQueue()
    for number in range(launcher.at_once):
        slots.put(number)

    def run(prepared: PreparedTrial) -> TrialResult:
        number = slots.get()
        try:
            return run_trial(prepared, launcher, number, console)
        finally:
            slots.put(number)

    def finish(result: TrialResult) -> None:
        results[result.trial] = result
        log_result(result, len(results), len(trials), time.monotonic() - started, console)

    with ThreadPoolExecutor(launcher.at_once) as pool, stop_on_exit(launcher):
        pending = []
        for trial in trials:
            prepared = prepare_trial(trial, command, launcher, common)
            if isinstance(prepared, TrialResult):
                finish(prepared)
            else:
                pending.append(pool.submit(run, prepared))
        for future in as_completed(pending):
            finish(future.result())
    return [results[trial] for trial in trials]


def prepare_trial(
    trial: Trial, command: Command, launcher: Launcher, common: Sequence[str]
) -> PreparedTrial | TrialResult:
    """The trial with its command and job; a failed result if its config is invalid, or the launcher cannot run it."""
    try:
        composed = command.compose([*common, *trial.overrides])
        job = job_of(composed)
        launcher.check_job(job)
    except UserError as error:
        return TrialResult(trial, Path(), None, error=first_line(error))
    return PreparedTrial(trial, composed, job)


def run_trial(prepared: PreparedTrial, launcher: Launcher, slot: int, console: Console) -> TrialResult:
    """The result of a trial; runs it in the slot of this number unless it is finished. An error is a failed result."""
    job = prepared.job

    def log(message: str) -> None:
        console.print(f"{prepared.trial.label}: {message}", markup=False, soft_wrap=True)

    try:
        with job_lock(job, launcher, log) as lock:
            # Before its files are read: a job that ends between the two has left them.
            running = launcher.is_running(job)
            if finished := read_result(prepared, reused=True):
                return finished
            if not running:
                log_changed_inputs(prepared, log)
                launcher.start(again(job), Slot(slot, lock))
            failure = launcher.wait(job, log)
            if failure is None and (finished := wait_for_result(prepared, launcher)):
                return finished
    except (OSError, ValueError, UserError) as error:
        return prepared.result(None, reused=False, error=first_line(error))
    return prepared.result(
        None, reused=False, error=f"{failure or NO_SCORES} (full output: {launcher.output_path(job)})"
    )


def again(job: Job) -> Job:
    """The job, which replaces a run that was finished with other input files."""
    return replace(job, arguments=(*job.arguments, "rerun=true")) if is_finished(job.folder) else job


def wait_for_result(prepared: PreparedTrial, launcher: Launcher) -> TrialResult | None:
    """The result of a trial whose job has ended; None if it left none.

    Files that another machine wrote may be seen late, so that launchers ask for several looks.
    """
    for _ in range(launcher.result_polls - 1):
        if found := read_result(prepared, reused=False):
            return found
        launcher.stopping.wait(launcher.poll_seconds)
    return read_result(prepared, reused=False)


def read_result(prepared: PreparedTrial, reused: bool) -> TrialResult | None:
    """The result of a finished trial; a failed one if the run evaluated nothing.

    None if the trial is not finished, its files are damaged, or its input files have changed since.

    Args:
        reused: whether it was finished before this command.
    """
    folder = prepared.job.folder
    manifest = read_json_object(folder / MANIFEST)
    if manifest is None or manifest.get(INPUTS, {}) != input_fingerprints(prepared.command.config):
        return None
    if not (folder / SCORES).is_file():
        return prepared.result(None, reused, "nothing was evaluated: set data.val")
    scores = read_json_object(folder / SCORES)
    return prepared.result(scores, reused) if scores is not None and has_scores(scores) else None


def has_scores(scores: Mapping[str, Any]) -> bool:
    """Whether the contents of a `scores.json` are not damaged, as far as they are read here."""
    overall, families = scores.get("overall"), scores.get("families")
    return isinstance(overall, dict) and isinstance(overall.get("score"), (int, float)) and isinstance(families, dict)


def log_changed_inputs(prepared: PreparedTrial, log: Callable[[str], None]) -> None:
    """Log why a trial that was finished is run again: the input files that have changed since."""
    before = (read_json_object(prepared.job.folder / MANIFEST) or {}).get(INPUTS, {})
    now = input_fingerprints(prepared.command.config)
    if changed := sorted(name for name in before.keys() & now.keys() if before[name] != now[name]):
        log(f"{', '.join(changed)} changed since it was finished; running it again")


def log_result(result: TrialResult, done: int, count: int, seconds: float, console: Console) -> None:
    """Log the result of a trial, and when the others may be done.

    Args:
        done: finished trials.
        count: all trials.
        seconds: since the first trial was started.
    """
    left = f", {timedelta(seconds=round(seconds / done * (count - done)))} left" if done < count else ""
    outcome = result.error if result.scores is None else f"{result.scores['overall']['score']:.4f}"
    reused = " (finished before)" if result.reused else ""
    console.print(
        f"{done}/{count} {result.trial.label}: {outcome}{reused}  [{timedelta(seconds=round(seconds))}{left}]",
        markup=False,
    )
