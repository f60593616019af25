"""The rows that aggregates take."""

from collections.abc import Mapping, Sequence
from typing import Any

# `prediction`, `references`, `score` in [0, 1], and the question's `meta` (`category`, `image`, `rotations_of`).
AnswerRow = Mapping[str, Any]
AnswerRows = Sequence[AnswerRow]  # one for each answer
