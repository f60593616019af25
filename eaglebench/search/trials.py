"""Runs that another task starts: several at once, here or as jobs of SLURM. What is finished is not run again."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from getpass import getuser
from io import TextIOWrapper
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from types import FrameType
from typing import Any

import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from eaglebench.config.build import devices_of
from eaglebench.config.compose import validate
from eaglebench.config.inputs import INPUTS, input_states
from eaglebench.evaluation.evaluate import SCORES
from eaglebench.launchers.local import SLURM, check_slurm, submit
from eaglebench.runs import MANIFEST
from eaglebench.training.preemption import slurm
from eaglebench.training.strategies import CPU
from eaglebench.utils.errors import TERMINATED, UserError, first_line
from eaglebench.utils.files import read_object

LOGS = Path("results/jobs")  # what trials print here
POLL = 2.0  # seconds between two questions to SLURM, or to a lock
PATIENCE = 150  # questions to SLURM without an answer
LATE = 5  # looks for the files of a job that ended
NO_SCORES = "it ended without scores of what it was to read"
MISTAKE = "error: "  # begins the line that says what was wrong


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


@dataclass(frozen=True)
class Planned:
    """A trial with all its words, and its config."""

    trial: Trial
    words: tuple[str, ...]
    cfg: DictConfig

    @property
    def folder(self) -> Path:
        """Of its run."""
        return Path("results") / str(self.cfg.run_name)


def given(own: Sequence[str]) -> list[str]:
    """The words of this command line that every trial gets too: all but those of the task and of the `own` nodes of it.

    Raises:
        UserError: one would give all runs the same folder.
    """
    words = HydraConfig.get().overrides.task
    if any(field_of(word) == "run_name" for word in words):
        raise UserError("run_name is each run's own: leave it out.")
    dropped = {"task", "launcher", "hydra", *own}
    return [word for word in words if field_of(word).partition(".")[0] not in dropped]


def field_of(word: str) -> str:
    """The dotted name of what an override sets."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def grouped(cfg: DictConfig, name: str) -> list[str]:
    """The word that gives runs their group in W&B; none where they do not log there, or the user has named one."""
    return [f"logger.wandb.group={name}"] if "wandb" in cfg.logger and cfg.logger.wandb.group is None else []


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


class Running:
    """The processes of trials that run here; they are asked to end when this one is.

    Args:
        console: told what is waited for.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.ending = Event()
        self.processes: set[subprocess.Popen[bytes]] = set()

    def end(self) -> None:
        """Ask all to end, and no other one to begin."""
        self.ending.set()
        for process in list(self.processes):
            process.terminate()


class Ending(UserError):
    """A trial was not to begin, because this process is to end."""


@contextmanager
def alone(planned: Planned, runs: Running) -> Iterator[int]:
    """Within it, no other command runs this trial: a lock that a trial's process has too, so that one that outlived its command is
    waited for. Gives the lock's descriptor.

    Raises:
        Ending: this process is to end.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{planned.folder.name}.lock").open("w") as lock:
        if not locked(lock):
            runs.console.print(f"{planned.trial.label}: another command runs it; waiting for that", markup=False)
            while not locked(lock) and not runs.ending.wait(POLL):
                pass
        if runs.ending.is_set():
            raise Ending("not started")
        yield lock.fileno()


@contextmanager
def running(console: Console) -> Iterator[Running]:
    """Within it, trials run; what ends this process ends them after a checkpoint of their last step. Jobs go on."""
    runs = Running(console)

    def asked(number: int, frame: FrameType | None) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, asked)
    try:
        yield runs
    except BaseException:
        runs.end()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def here(planned: Planned, place: int, at_once: int, runs: Running, lock: int) -> Result:
    """Run a trial in a process, which prints into a file and holds the lock."""
    if found := finished(planned, reused=True):
        return found
    tell_change(planned, runs.console)
    log = LOGS / f"{planned.folder.name}.log"
    with log.open("ab") as out:
        begin = out.seek(0, os.SEEK_END)
        command = [sys.executable, "-m", "eaglebench", *planned.words, f"hydra.run.dir='{planned.folder}'"]
        process = subprocess.Popen(
            command,
            env={**os.environ, **share(planned.cfg, place, at_once)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C is for this process; a trial gets SIGTERM, and writes a checkpoint
        )
        runs.processes.add(process)
        if runs.ending.is_set():  # it may have been set since it was looked at
            process.terminate()
        code = process.wait()
        runs.processes.discard(process)
    if code == 0 and (found := finished(planned, reused=False)):
        return found
    why = reason(log, begin, code) if code else NO_SCORES
    return Result(planned.trial, planned.folder, None, error=f"{why} (all it said: {log})")


def locked(file: TextIOWrapper) -> bool:
    """Take the lock of a file; False if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def share(cfg: DictConfig, place: int, at_once: int) -> dict[str, str]:
    """The environment in which a trial leaves room for the others: its share of the cores, and devices of its own."""
    if cfg.trainer.accelerator == CPU:
        cores, processes = len(os.sched_getaffinity(0)), at_once * devices_of(cfg)
        return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // processes)))}
    there = torch.cuda.device_count()
    if not isinstance(cfg.trainer.devices, int) or cfg.trainer.devices > there:
        return {}  # all of them, or those that are named
    count = cfg.trainer.devices
    known = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(there)))).split(",")
    first = place % (there // count) * count
    return {"CUDA_VISIBLE_DEVICES": ",".join(known[first : first + count])}


def reason(log: Path, begin: int, code: int) -> str:
    """Why a trial failed, by the end of what it printed from byte `begin` on."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    mistakes = [line.removeprefix(MISTAKE) for line in lines if line.startswith(MISTAKE)]
    return mistakes[-1] if mistakes else f"it ended with {code}: {lines[-1]}" if lines else f"it ended with {code}"


def in_a_job(planned: Planned, launcher: Mapping[str, Any], runs: Running) -> Result:
    """Run a trial as a job, and wait for it; one that is in the queue already is waited for too."""
    name = str(planned.cfg.run_name)
    there = queued(name, runs)
    if found := finished(planned, reused=True):
        return found
    if not there:
        tell_change(planned, runs.console)
        submit(planned.cfg, [*planned.words, "launcher=local", f"hydra.run.dir='{planned.folder}'"])
    while queued(name, runs):
        if runs.ending.wait(POLL):
            runs.console.print(f"{planned.trial.label}: its job goes on", markup=False)
            raise Ending("its job goes on")
    for _ in range(LATE):  # another node's files can be seen after its job is gone
        if found := finished(planned, reused=False):
            return found
        runs.ending.wait(POLL)
    said = f"{NO_SCORES} (all it said: {launcher['folder']})"
    return Result(planned.trial, planned.folder, None, error=said)


def queued(name: str, runs: Running) -> bool:
    """Whether SLURM has a job of this name from this folder that waits or runs.

    Raises:
        UserError: SLURM does not answer.
        Ending: this process is to end.
    """
    for _ in range(PATIENCE):
        asked = slurm("squeue", f"--user={getuser()}", "--noheader", "--format=%Z", f"--name={name}")
        if asked.returncode == 0:
            return str(Path.cwd()) in asked.stdout.splitlines()
        if runs.ending.wait(POLL):
            raise Ending("SLURM did not answer")
    raise UserError(f"SLURM does not answer ({asked.stderr.strip()})")
