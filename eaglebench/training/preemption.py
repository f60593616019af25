"""Requeues the SLURM job of a run that is pre-empted or at its time limit."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from eaglebench.utils.distributed import is_main_process
from eaglebench.utils.errors import TERMINATED

# SIGTERM is SLURM's own before a pre-emption, SIGUSR1 that of `sbatch --signal=USR1@120` before the time limit.
WARNING_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
JOB_ID = "SLURM_JOB_ID"
# Set in jobs that hold one run and nothing else. Requeueing starts everything in a job again.
REQUEUE = "EAGLEBENCH_REQUEUE"


def in_slurm_job() -> bool:
    """Whether this process is a run that has a SLURM job to itself."""
    return JOB_ID in os.environ and REQUEUE in os.environ


@contextmanager
def requeue_on_warning(log: Callable[[str], None]) -> Iterator[None]:
    """Within this context, a warning of SLURM requeues the job and exits with TERMINATED. Does nothing outside a job.

    A training has handlers of its own, which finish the optimizer step first.

    Args:
        log: prints one line.
    """
    if not in_slurm_job():
        yield
        return

    def requeue_and_exit(number: int, frame: FrameType | None) -> None:
        if is_main_process():  # SLURM ends the other processes with the job
            requeue_job(log)
            sys.exit(TERMINATED)

    before = {number: signal.signal(number, requeue_and_exit) for number in WARNING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def requeue_job(log: Callable[[str], None]) -> None:
    """Have SLURM start this job again with the same command, unless it was cancelled. What SLURM refuses is logged.

    Args:
        log: prints one line.
    """
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = os.environ[JOB_ID] if array is None else f"{array}_{task}"
    state = run_slurm_command("squeue", "--noheader", "--format=%T", f"--jobs={job}")
    if state.returncode:
        log(f"squeue fails for job {job} ({state.stderr.strip()}): the same command resumes from its last checkpoint")
    if state.stdout.strip() != "RUNNING":
        return
    log(f"job {job} is pre-empted or at its time limit: it is requeued, and resumes from its last checkpoint")
    requeued = run_slurm_command("scontrol", "requeue", job)
    if requeued.returncode:
        log(
            f"SLURM refuses to requeue job {job} ({requeued.stderr.strip()}): the same command resumes from its last "
            "checkpoint"
        )


def run_slurm_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of SLURM's commands for at most 60 seconds; a command that is missing or hangs returns 1 with the reason.

    Without a limit they wait for ever for a controller that is gone.
    """
    try:
        return subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(arguments, 1, "", str(error))
