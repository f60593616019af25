"""What a logger is told beside values, if it takes more."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


class Tracker(ABC):
    """A logger that shows a whole run: told at its begin, after its evaluation, and at its end."""

    @abstractmethod
    def begin(self, config: Mapping[str, Any], parts: Rows, tell: Callable[[str], None]) -> None:
        """Open the run, with its config and a row for each part, and tell where it is to be seen.

        Raises:
            UserError: the logger cannot be reached.
        """

    @abstractmethod
    def show(self, scores: Mapping[str, Any], samples: Rows) -> None:
        """Add the scores of the run, and some of its answers with their images."""

    @abstractmethod
    def close(self) -> None:
        """End the run: another one may follow in this process."""


def trackers(loggers: Iterable[Any]) -> list[Tracker]:
    """Those of Lightning's loggers that are trackers."""
    return [logger for logger in loggers if isinstance(logger, Tracker)]
