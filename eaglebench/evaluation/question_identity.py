"""Which question a line of predictions.jsonl answers, so that scores are compared on the same questions alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eaglebench.utils.hashing import hash_json, hash_unchanged

METRIC = "metric"  # of a line: what scored it
IMAGE_DIGEST = "image_digest"  # of a line: the hash of its image's file
LENGTH = 16  # hex digits


def name_metric(family: str, evaluation: Mapping[str, Any]) -> str:
    """The metric of a family's questions, as lines of predictions.jsonl name it: `anls`, or `official gqa`.

    Args:
        family: of questions.
        evaluation: `metrics`, `default_metric` and `benchmarks`, as in the group `evaluation` of a config. What is
            missing counts as empty.
    """
    if family in (evaluation.get("benchmarks") or ()):
        return f"official {family}"
    return str((evaluation.get("metrics") or {}).get(family) or evaluation.get("default_metric") or "")


def identify_question(row: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """The hash of a question: family, id, turn, text, references, image and metric.

    An image counts by the bytes of its file. Where neither the line nor the file says them, its name counts.

    Args:
        row: a line of predictions.jsonl; older ones name neither metric nor references, turn and image's hash.
        evaluation: names the metric of an older line, see `name_metric`.

    Raises:
        KeyError: the line is no prediction.
    """
    family, image = str(row["family"]), row.get("image")
    seen = find_image_digest(row) or (image and Path(str(image)).name)
    metric = row.get(METRIC) or name_metric(family, evaluation)
    return hash_json(
        [family, row.get("id", ""), row.get("turn", 0), row["question"], list_references(row), seen, metric], LENGTH
    )


def list_references(row: Mapping[str, Any]) -> list[Any]:
    """All answers that count as right; older lines have one."""
    return list(row.get("references") or [row["reference"]])


def find_image_digest(row: Mapping[str, Any]) -> str | None:
    """The hash of a line's image, which it says or its file has; None if neither does."""
    return row.get(IMAGE_DIGEST) or digest_image(row.get("image"))


def digest_image(path: object) -> str | None:
    """The hash of an image file; None for a question without one, or without a file."""
    if path is None:
        return None
    try:
        file = Path(str(path))
        return hash_unchanged(file)[:LENGTH] if file.is_file() else None
    except (OSError, ValueError):  # a name that is too long, or a file that may not be read
        return None
