"""Loggers that show a whole run, not only its curves."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


class RunLogger(ABC):
    """A Lightning logger that also shows a run's config, parts, scores and sample answers."""

    @abstractmethod
    def begin(self, config: Mapping[str, Any], parts: Rows, log: Callable[[str], None]) -> None:
        """Open the run, and log where it can be seen.

        Args:
            config: the resolved config of the run.
            parts: a row for each part of the model.
            log: prints one line.

        Raises:
            UserError: the logging service cannot be reached.
        """

    @abstractmethod
    def show(self, scores: Mapping[str, Any], samples: Rows) -> None:
        """Add the scores of the run, and some of its answers with their images."""

    @abstractmethod
    def close(self) -> None:
        """Close the run, because another one may follow in the same process."""


def find_run_loggers(loggers: Iterable[Any]) -> list[RunLogger]:
    """Those of Lightning's loggers that show a whole run."""
    return [logger for logger in loggers if isinstance(logger, RunLogger)]
