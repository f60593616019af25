"""What an aggregate is given."""

from collections.abc import Mapping, Sequence
from typing import Any

# One row for each answer: `prediction`, `references`, `score`, and `meta` with the question's `category` and `image`.
Rows = Sequence[Mapping[str, Any]]
