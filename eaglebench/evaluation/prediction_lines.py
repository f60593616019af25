"""Lines of predictions.jsonl, as `evaluate` writes them."""

import json
import math
from typing import Any

from eaglebench.evaluation.question_identity import list_references

TEXTS = ("family", "question", "prediction")


def parse_prediction(line: str | bytes) -> dict[str, Any] | None:
    """The answer to a question; None if the line is damaged. Lines of older versions name neither id nor turn."""
    try:
        row = json.loads(line)
        score = row["score"]
        right_types = isinstance(score, (int, float)) and not isinstance(score, bool)
        right_types = right_types and isinstance(row.get("turn", 0), int)
        right_types = right_types and all(isinstance(row[name], str) for name in TEXTS)
        return row if right_types and math.isfinite(score) and list_references(row) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
