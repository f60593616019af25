"""Has SLURM start the job of a run again. Imports neither torch nor Lightning."""

import os
import subprocess
from collections.abc import Callable

JOB_ID = "SLURM_JOB_ID"
# Set in jobs that hold one run and nothing else. Requeueing starts everything in a job again.
REQUEUE = "EAGLEBENCH_REQUEUE"


def in_slurm_job() -> bool:
    """Whether this process is a run that has a SLURM job to itself."""
    return JOB_ID in os.environ and REQUEUE in os.environ


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
