"""Runs that another task starts: several at once, here or as jobs of SLURM. What is finished is not run again."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from eaglebench.config.inputs import INPUTS, input_states
from eaglebench.config.schema import validate
from eaglebench.launchers.base import Planned, alone, running
from eaglebench.launchers.local import here
from eaglebench.launchers.slurm import SLURM, check_slurm, in_a_job
from eaglebench.runs import MANIFEST, SCORES
from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import read_object


@dataclass(frozen=True)
class Trial:
    """A run to be: its label, and the words of the command line that are its own."""

    label: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes:
        trial: it.
        folder: of its run.
        scores: its `scores.json`; None if it failed.
        reused: it was finished before.
        error: why it failed; None if it did not.
    """

    trial: Trial
    folder: Path
    scores: Mapping[str, Any] | None
    reused: bool = False
    error: str | None = None


def run_trials(
    trials: Sequence[Trial], launcher: Mapping[str, Any], console: Console, common: Sequence[str] = ()
) -> list[Result]:
    """What comes of each trial, in their order. One that fails is told, and does not end the others.

    Args:
        launcher: of the config: whether they run here or as jobs, and how many at once.
        console: told of each one that ends.
        common: words that all trials get.
    """
    if launcher["name"] == SLURM:
        check_slurm()
    started, results, at_once = time.monotonic(), {}, launcher["at_once"]
    with ThreadPoolExecutor(at_once) as pool, running(console) as runs:
        places: SimpleQueue[int] = SimpleQueue()
        for place in range(at_once):
            places.put(place)

        def run(planned: Planned) -> Result:
            place = places.get()
            try:
                with alone(planned, runs) as lock:
                    if launcher["name"] == SLURM:
                        return in_a_job(planned, launcher, runs)
                    return here(planned, place, at_once, runs, lock)
            except (OSError, ValueError, UserError) as error:
                return Result(planned.trial, planned.folder, None, error=first_line(error))
            finally:
                places.put(place)

        pending = {}
        for trial in trials:
            planned = plan(trial, common, launcher)
            if isinstance(planned, Result):
                results[trial] = planned
                tell(planned, len(results), len(trials), started, console)
            else:
                pending[pool.submit(run, planned)] = trial
        for future in as_completed(pending):
            trial = pending[future]
            results[trial] = future.result()
            tell(results[trial], len(results), len(trials), started, console)
    return [results[trial] for trial in trials]


def plan(trial: Trial, common: Sequence[str], launcher: Mapping[str, Any]) -> Planned | Result:
    """The trial with its config; a failed result where there is none."""
    words = (*common, *trial.overrides)
    try:
        cfg = compose("config", [*words])
        OmegaConf.update(cfg, "launcher", dict(launcher), force_add=True)
        validate(cfg)
    except (UserError, HydraException, OmegaConfBaseException, TypeError, ValueError, AttributeError) as error:
        return Result(trial, Path(), None, error=first_line(error))
    return Planned(trial, words, cfg)


def tell(result: Result, done: int, count: int, started: float, console: Console) -> None:
    """Say what came of a trial, and when the others may be done."""
    seconds = time.monotonic() - started
    left = f", {timedelta(seconds=round(seconds / done * (count - done)))} left" if done < count else ""
    what = result.error if result.scores is None else f"{result.scores['overall']['score']:.4f}"
    again = " (finished before)" if result.reused else ""
    console.print(
        f"{done}/{count} {result.trial.label}: {what}{again}  [{timedelta(seconds=round(seconds))}{left}]", markup=False
    )


def finished(planned: Planned, reused: bool) -> Result | None:
    """What a finished run gave, a failed result if it was not evaluated; None if it is not finished, or its files cannot be read, or what it
    read is not what is there now.

    Args:
        reused: it was finished before.
    """
    manifest = read_object(planned.folder / MANIFEST)
    if manifest is None or manifest.get(INPUTS, {}) != input_states(planned.cfg):
        return None
    if not (planned.folder / SCORES).is_file():
        return Result(planned.trial, planned.folder, None, reused, "nothing was evaluated: set data.val")
    scores = read_object(planned.folder / SCORES)
    return None if scores is None else Result(planned.trial, planned.folder, scores, reused)


def tell_change(planned: Planned, console: Console) -> None:
    """Say why a run is done again that was finished."""
    before, now = (read_object(planned.folder / MANIFEST) or {}).get(INPUTS, {}), input_states(planned.cfg)
    if changed := sorted(name for name in before.keys() & now.keys() if before[name] != now[name]):
        console.print(
            f"{planned.trial.label}: {', '.join(changed)} changed since it was finished; again",
            markup=False,
            soft_wrap=True,
        )
