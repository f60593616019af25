"""Curves in the loggers: losses, gradient norms and validation values by optimizer step."""

from collections.abc import Iterable, Mapping, Sequence

from lightning.fabric.loggers.logger import Logger

# An optimizer step and values by full name, in the order in which they were logged.
Curves = Sequence[tuple[int, Mapping[str, float]]]


def log_interval(steps: int) -> int:
    """Optimizer steps between two logged values, in a training of `steps` steps."""
    return max(1, min(10, steps))


def log_curves(loggers: Iterable[Logger], curves: Curves) -> None:
    """Log curves, those of an earlier process too, so that the log of each run has whole curves."""
    for logger in loggers:
        for step, values in curves:
            logger.log_metrics(dict(values), step)
        logger.save()
