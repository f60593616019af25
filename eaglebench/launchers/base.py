"""TODO."""

import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from eaglebench.utils.errors import TERMINATED, UserError

LOGS = Path("results/jobs")  # what trials print here

POLL = 2.0  # seconds between two questions to SLURM, or to a lock

NO_SCORES = "it ended without scores of what it was to read"

MISTAKE = "error: "  # begins the line that says what was wrong


@dataclass(frozen=True)
class Planned:
    """A trial with all its words, and its config."""

    trial: Any
    words: tuple[str, ...]
    cfg: DictConfig

    @property
    def folder(self) -> Path:
        """Of its run."""
        return Path("results") / str(self.cfg.run_name)


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


def locked(file: TextIOWrapper) -> bool:
    """Take the lock of a file; False if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
