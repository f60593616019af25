"""Loss curves in the loggers."""

from collections.abc import Iterable, Sequence

from lightning.fabric.loggers import Logger


def log_interval(steps: int) -> int:
    """Steps between two logged values of a training of so many."""
    return max(1, min(10, steps))


def log_again(loggers: Iterable[Logger], label: str, losses: Sequence[float | None], steps: int) -> None:
    """Log losses that another process logged, so that each run's log has its whole curves; `steps` has the training in all."""
    interval = log_interval(steps)
    for logger in loggers:
        for step in range(interval - 1, len(losses), interval):
            if (loss := losses[step]) is not None:
                logger.log_metrics({f"{label}/loss": loss}, step)
