"""What SLURM asks of a job shortly before it takes its place away, and how the job gets another one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from eaglebench.utils.distributed import leads
from eaglebench.utils.errors import TERMINATED

WARNINGS = (
    signal.SIGTERM,
    signal.SIGUSR1,
)  # SLURM's own before a preemption, and `sbatch --signal=USR1@120` before the time is over
JOB = "SLURM_JOB_ID"
OURS = "EAGLEBENCH_REQUEUE"  # set in jobs that hold one run and nothing else: to queue again starts all of a job again


def in_job() -> bool:
    """Whether this process is a run that has a job of SLURM for itself."""
    return JOB in os.environ and OURS in os.environ


@contextmanager
def listening(tell: Callable[[str], None]) -> Iterator[None]:
    """Within it, a job that is warned queues again and ends; what trains listens by itself, and comes to the end of a step first."""
    if not in_job():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        if leads():  # the others are ended with the job
            queue_again(tell)
            sys.exit(TERMINATED)

    before = {number: signal.signal(number, end) for number in WARNINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def queue_again(tell: Callable[[str], None]) -> None:
    """Have SLURM start this job once more, with the same command; not one that was cancelled."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = os.environ[JOB] if array is None else f"{array}_{task}"
    state = slurm("squeue", "--noheader", "--format=%T", f"--jobs={job}")
    if state.returncode:
        tell(
            f"SLURM says nothing of job {job} ({state.stderr.strip()}): the same command goes on from its last checkpoint"
        )
    if state.stdout.strip() != "RUNNING":
        return
    tell(f"job {job} is to end: it queues again, and goes on from its last checkpoint")
    asked = slurm("scontrol", "requeue", job)
    if asked.returncode:
        tell(
            f"SLURM does not take job {job} back ({asked.stderr.strip()}): the same command goes on from its last checkpoint"
        )


def slurm(*words: str) -> subprocess.CompletedProcess[str]:
    """One of SLURM's commands; they can wait for ever for a controller that is gone."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))
