"""What a run does when SLURM warns that its job is pre-empted or at its time limit."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from eaglebench.training.requeue import in_slurm_job, requeue_job
from eaglebench.utils.distributed import is_main_process
from eaglebench.utils.errors import TERMINATED

# SIGTERM is SLURM's own before a pre-emption, SIGUSR1 that of `sbatch --signal=USR1@120` before the time limit.
WARNING_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


def list_stop_signals() -> list[signal.Signals]:
    """The signals on which a training writes a checkpoint and stops: also that of a terminal that is closed.

    nohup has a process ignore the latter, and it goes on.
    """
    stop = [*WARNING_SIGNALS] if in_slurm_job() else [signal.SIGTERM]
    return stop if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [*stop, signal.SIGHUP]


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
