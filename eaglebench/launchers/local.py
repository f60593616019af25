"""Runs on this machine: in this process, in one process for each device, or several trials side by side."""

import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import PositiveInt

from eaglebench.launchers.base import JOBS, Job, Launcher, Slot
from eaglebench.utils.errors import TERMINATED, UserError
from eaglebench.utils.processes import parent_environment

SHUTDOWN_SECONDS = 120  # that processes have to write a checkpoint after SIGTERM
ERROR_PREFIX = "error: "  # of the line in which the command line reports a user's mistake


@dataclass(frozen=True)
class RunningTrial:
    """The process of a trial, the file that it prints into, and the length of that file before, in bytes."""

    process: subprocess.Popen[bytes]
    log_file: Path
    log_start: int


class LocalLauncher(Launcher):
    """Runs jobs on this machine.

    Trials that run side by side share the CPU cores, and get GPUs of their own. When the launcher is stopped, it sends
    them SIGTERM, on which each writes a checkpoint; the kernel does so when the launcher is killed.

    Args:
        at_once: trials that run side by side.
    """

    runs_here: ClassVar[bool] = True

    def __init__(self, at_once: PositiveInt = 1) -> None:
        super().__init__(at_once)
        self.running: dict[str, RunningTrial] = {}  # by the name of the job

    def run_elsewhere(self, job: Job) -> bool:
        """Start one process for each device and wait for them.

        False if one process is enough, or if this process is one of those that were started.
        """
        # Here, because it imports torch and Lightning, which a command that only starts trials does without.
        from eaglebench.training.strategies import find_cluster_environment

        if find_cluster_environment(job.processes) is not None:
            return False
        if job.nodes > 1:
            raise UserError(
                f"trainer.nodes={job.nodes} needs a process for each device of each node: use launcher=slurm, srun, or "
                "torchrun."
            )
        run_processes(job.processes, job.arguments)
        return True

    def start(self, job: Job, slot: Slot) -> None:
        log_file = self.output_path(job)
        with log_file.open("ab") as log:
            log_start = log.seek(0, os.SEEK_END)
            process = subprocess.Popen(
                [sys.executable, "-m", "eaglebench", *job.arguments],
                env={**os.environ, **parent_environment(), **self.environment_of(job, slot)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[slot.lock],
                start_new_session=True,  # Ctrl-C is for this process; a trial gets SIGTERM, and writes a checkpoint
            )
        self.running[job.name] = RunningTrial(process, log_file, log_start)
        if self.stopping.is_set():  # it may have been set since the lock was taken
            process.terminate()

    def wait(self, job: Job, log: Callable[[str], None]) -> str | None:
        trial = self.running[job.name]
        code = trial.process.wait()
        del self.running[job.name]
        return failure_reason(trial.log_file, trial.log_start, code) if code else None

    def output_path(self, job: Job) -> Path:
        return JOBS / f"{job.name}.log"

    def stop(self) -> None:
        super().stop()
        for trial in list(self.running.values()):
            trial.process.terminate()

    def environment_of(self, job: Job, slot: Slot) -> dict[str, str]:
        """Environment variables that leave room for the other trials: a share of the CPU cores, or GPUs of its own."""
        if job.on_cpu:
            cores, processes = len(os.sched_getaffinity(0)), self.at_once * job.processes_per_node
            return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // processes)))}
        import torch  # here, because listing a sweep and trials on the CPU do without it

        available = torch.cuda.device_count()
        if not isinstance(job.devices, int) or job.devices > available:
            return {}  # auto: all of them; or those of some indices
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(available)))).split(",")
        first = slot.number % (available // job.devices) * job.devices
        return {"CUDA_VISIBLE_DEVICES": ",".join(visible[first : first + job.devices])}


def run_processes(count: int, arguments: Sequence[str]) -> None:
    """Run `python -m eaglebench` in `count` processes that train together, and wait for them.

    Raises:
        SystemExit: a process failed, with its exit code.
        KeyboardInterrupt: Ctrl-C.
    """
    # Here, because they import torch, which a command that only starts trials does without.
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or DDP warns that every weight is used
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))
    os.environ.update(parent_environment())
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # failures are reported below
    try:
        elastic_launch(config, sys.executable)("-m", "eaglebench", *arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # The command line writes the time of a user's mistake into this file; of any other error there is a traceback.
        if failure.error_file_data.get("timestamp"):
            print(f"{ERROR_PREFIX}{failure.message}", file=sys.stderr)
        elif failure.exitcode < 0:
            print(f"{ERROR_PREFIX}process {failure.local_rank} was killed by {failure.signal_name()}.", file=sys.stderr)
        sys.exit(failure.exitcode)
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from error
        sys.exit(TERMINATED)


def failure_reason(log_file: Path, log_start: int, code: int) -> str:
    """Why a process failed: its last error message, or else its exit code and last line.

    Args:
        log_start: where its output begins in the log, in bytes.
        code: its exit code.
    """
    with log_file.open("rb") as file:
        file.seek(log_start)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    if errors:
        return errors[-1]
    return f"exit code {code}: {lines[-1]}" if lines else f"exit code {code}"
