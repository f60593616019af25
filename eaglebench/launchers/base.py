"""The contract of a launcher: it runs jobs somewhere, and says why one failed.

A job is one `python -m eaglebench` command. A launcher is one class in one file of this folder, and one file
`conf/launcher/NAME.yaml` that names the class by `_target_` and gives the arguments of its constructor.
"""

import fcntl
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from pkgutil import resolve_name
from threading import Event
from types import FrameType
from typing import ClassVar

from pydantic import PositiveInt

from eaglebench.config.compose import Command
from eaglebench.config.schema import LauncherConfig
from eaglebench.utils.errors import TERMINATED, UserError

JOBS = Path("results/jobs")  # locks and logs of jobs
RUN_HERE = "launcher=local"  # the override with which a job's own process does not launch the job once more


class InterruptedJob(UserError):
    """A job was not started, or not waited for to its end, because this process received SIGTERM or Ctrl-C."""


@dataclass(frozen=True)
class Job:
    """One run and the resources that it needs.

    Attributes:
        name: of the run; two jobs of the same name are the same run.
        folder: the run folder.
        arguments: of `python -m eaglebench` in the job's own process.
        accelerator: `trainer.accelerator`, as in cpu or gpu.
        devices: `trainer.devices` of each node: a number, the indices of some, or auto.
        processes_per_node: one for each device.
        nodes: how many machines.
        resumable: whether the run keeps checkpoints (`store` is a folder), so that an interrupted job can resume.
    """

    name: str
    folder: Path
    arguments: tuple[str, ...]
    accelerator: str
    devices: int | str | tuple[int, ...]
    processes_per_node: int
    nodes: int
    resumable: bool

    @property
    def processes(self) -> int:
        """How many processes train together, on all nodes."""
        return self.processes_per_node * self.nodes

    @property
    def on_cpu(self) -> bool:
        """Whether the job uses no GPU."""
        return self.accelerator == "cpu"


@dataclass(frozen=True)
class Slot:
    """One of the `at_once` places for jobs that run side by side.

    Attributes:
        number: from 0 to `at_once` - 1.
        lock: file descriptor of the job's lock. A child process that inherits it holds the lock until it ends.
    """

    number: int
    lock: int


class Launcher(ABC):
    """Runs jobs: a single one for task=train, or several side by side for the trials of task=select and task=sweep.

    For a trial, `is_running`, `start` and `wait` are called in this order, in one thread for each slot.

    Args:
        at_once: trials that run side by side.

    Attributes:
        stopping: set when this process has to end; whatever waits, gives up.
    """

    poll_seconds: ClassVar[float] = 2.0  # between two looks at a queue, a lock or a file
    result_polls: ClassVar[int] = 1  # looks for a job's files after its end; more where another machine writes them
    runs_here: ClassVar[bool] = False  # whether a run of one process needs no process of its own

    def __init__(self, at_once: PositiveInt = 1) -> None:
        self.at_once = at_once
        self.stopping = Event()

    @abstractmethod
    def run_elsewhere(self, job: Job) -> bool:
        """Run the job of task=train outside of this process; False if this process has to run it.

        Raises:
            UserError: the job cannot be run by this launcher.
            SystemExit: the job ended with an exit code other than 0.
        """

    def check(self) -> None:  # noqa: B027  most launchers need nothing
        """Refuse to launch anything on a machine that lacks what this launcher needs.

        Raises:
            UserError: the sentence names what is missing.
        """

    def check_job(self, job: Job) -> None:  # noqa: B027  most launchers run every job
        """Refuse a job that this launcher cannot run.

        Raises:
            UserError: the sentence names the field to change.
        """

    def is_running(self, job: Job) -> bool:
        """Whether a job of this name that an earlier command started is still queued or running.

        If so, `start` is left out, and `wait` waits for that job.
        """
        return False

    @abstractmethod
    def start(self, job: Job, slot: Slot) -> None:
        """Start the job and return at once.

        Raises:
            UserError: it cannot be started.
        """

    @abstractmethod
    def wait(self, job: Job, log: Callable[[str], None]) -> str | None:
        """Wait until the job has ended, and return why it failed; None if it is not known to have failed.

        Raises:
            InterruptedJob: this process has to end, and the job stays.
        """

    @abstractmethod
    def output_path(self, job: Job) -> Path:
        """The file, or the folder of files, that the job prints into."""

    def stop(self) -> None:
        """Start no more jobs, and stop waiting."""
        self.stopping.set()


def job_of(command: Command) -> Job:
    """The job that trains the run of a command."""
    trainer = command.config.trainer
    overrides = [override for override in command.overrides if not override.lstrip("+~").startswith("launcher")]
    return Job(
        name=command.config.run_name,
        folder=command.folder,
        arguments=tuple(command.arguments([*overrides, RUN_HERE], command.folder)),
        accelerator=trainer.accelerator,
        devices=tuple(trainer.devices) if isinstance(trainer.devices, list) else trainer.devices,
        processes_per_node=trainer.devices_per_node,
        nodes=trainer.nodes,
        resumable=command.config.store_folder is not None,
    )


def build_launcher(config: LauncherConfig) -> Launcher:
    """The launcher that `conf/launcher/NAME.yaml` names."""
    launcher: Launcher = resolve_name(config.target)(at_once=config.at_once, **config.arguments)
    return launcher


@contextmanager
def job_lock(job: Job, launcher: Launcher, log: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock of a job, so that no other command runs the same one; yields the lock's file descriptor.

    flock, and not a library of lock files: a child process inherits it. A trial that outlived its command still holds
    its lock.

    Raises:
        InterruptedJob: this process has to end.
    """
    JOBS.mkdir(parents=True, exist_ok=True)
    with (JOBS / f"{job.name}.lock").open("w") as lock:
        if not try_lock(lock):
            log("another command runs it; waiting for that one")
            while not try_lock(lock) and not launcher.stopping.wait(launcher.poll_seconds):
                pass
        if launcher.stopping.is_set():
            raise InterruptedJob("not started")
        yield lock.fileno()


def try_lock(file: TextIOWrapper) -> bool:
    """Take the lock of an open file; False if another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def stop_on_exit(launcher: Launcher) -> Iterator[None]:
    """Stop the launcher when an exception, Ctrl-C, SIGTERM or a closed terminal ends the context, and this process."""
    received = []

    def exit_process(number: int, frame: FrameType | None) -> None:
        received.append(number)
        sys.exit(TERMINATED)

    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, exit_process)}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
        previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, exit_process)
    try:
        yield
    except BaseException as error:
        launcher.stop()
        if received:  # the exit may have met code that cleans up with an exception of its own, as OmegaConf's does
            raise SystemExit(TERMINATED) from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
