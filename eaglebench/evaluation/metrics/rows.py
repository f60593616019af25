"""The rows that aggregates take."""

from collections.abc import Mapping, Sequence
from typing import Any

# One for each answer: `prediction`, `references`, `score` in [0, 1], and the question's `meta` (`category`, `image`).
AnswerRows = Sequence[Mapping[str, Any]]
