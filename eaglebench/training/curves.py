"""Loss curves in the loggers."""

from collections.abc import Iterable, Sequence

from lightning.fabric.loggers.logger import Logger


def log_interval(steps: int) -> int:
    """Optimizer steps between two logged values, in a training of `steps` steps."""
    return max(1, min(10, steps))


def relog_losses(loggers: Iterable[Logger], label: str, losses: Sequence[float | None], steps: int) -> None:
    """Log the losses of an earlier process, so that the log of each run has whole curves.

    Args:
        loggers: of the run.
        label: of the unit, before the names of logged values.
        losses: of each optimizer step; None where a step was skipped, which is not logged.
        steps: of the whole training.
    """
    interval = log_interval(steps)
    for logger in loggers:
        for step in range(interval - 1, len(losses), interval):
            if (loss := losses[step]) is not None:
                logger.log_metrics({f"{label}/loss": loss}, step)
