"""Some predictions of each run, the same questions in all runs, and thumbnails of their images."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eaglebench.data.open_image import open_thumbnail
from eaglebench.data.unreadable import UnreadableImage
from eaglebench.evaluation.prediction_lines import TEXTS, parse_prediction
from eaglebench.evaluation.question_identity import METRIC, identify_question, list_references, name_metric
from eaglebench.report.question_sets import FamilyQuestions
from eaglebench.utils.hashing import hash_json

SIDE = 144  # of a thumbnail, pixels
QUALITY = 70
BUDGET = 16_000_000  # bytes of all thumbnails together
MAX_TEXT = 400  # characters
KEY_LENGTH = 12  # hex digits


@dataclass(frozen=True)
class ChosenPredictions:
    """Some of a run's predictions.

    Attributes:
        rows: by the key of their question, which is the same in every run that answered it.
        total: the number of predictions in the files.
        damaged: the number of lines that cannot be read.
        questions: all that were answered, by family.
    """

    rows: Mapping[str, Mapping[str, Any]]
    total: int
    damaged: int
    questions: Mapping[str, FamilyQuestions]


def choose_predictions(paths: Sequence[Path], limit: int, evaluation: Mapping[str, Any]) -> ChosenPredictions:
    """At most `limit` predictions, evenly from all families; which ones depends on the questions alone.

    Args:
        paths: files like predictions.jsonl.
        limit: most predictions.
        evaluation: of the run's config; it names the metrics of older predictions.

    Raises:
        OSError, ValueError: a file cannot be read.
    """
    families: dict[str, list[dict[str, Any]]] = {}
    damaged = 0
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                if (prediction := parse_prediction(line)) is None:
                    damaged += 1
                else:
                    row = show_prediction(prediction, evaluation)
                    families.setdefault(row["family"], []).append(row)
    ranked = sorted(
        (rank, key, row)
        for rows in families.values()
        for rank, (key, row) in enumerate(sorted({row["key"]: row for row in rows}.items()))
    )
    questions = {family: describe_questions(rows) for family, rows in families.items()}
    total = sum(each.count for each in questions.values())
    return ChosenPredictions({key: row for _, key, row in ranked[:limit]}, total, damaged, questions)


def describe_questions(rows: Sequence[Mapping[str, Any]]) -> FamilyQuestions:
    """The questions of a family, from its `show_prediction` rows in any order."""
    key = hash_json(sorted(row["key"] for row in rows), KEY_LENGTH)
    return FamilyQuestions(key, ", ".join(sorted({row["metric"] for row in rows})), len(rows))


def show_prediction(row: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a line of predictions.jsonl."""
    return {
        "key": identify_question(row, evaluation)[:KEY_LENGTH],
        "id": str(row.get("id", ""))[:MAX_TEXT],
        **{name: row[name][:MAX_TEXT] for name in TEXTS},
        "references": [str(reference)[:MAX_TEXT] for reference in list_references(row)],
        "metric": str(row.get(METRIC) or name_metric(row["family"], evaluation)),
        "score": round(row["score"], 4),
        "image": row.get("image"),
    }


@dataclass
class Thumbnails:
    """Thumbnails of image files, each stored once, until a budget is spent.

    Attributes:
        budget: bytes of all data URIs together.
        uris: data URIs by key.
        missing: the number of files that could not be read.
        left_out: the number of files that came after the budget was spent.
    """

    budget: int = BUDGET
    uris: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    left_out: int = 0
    _keys: dict[str, str | None] = field(default_factory=dict)
    _spent: int = 0

    def add(self, path: str | None) -> str | None:
        """The key of a file's thumbnail; None if there is none."""
        if not isinstance(path, str):
            return None
        if path not in self._keys:
            self._keys[path] = self._store(path)
        return self._keys[path]

    def _store(self, path: str) -> str | None:
        if self._spent >= self.budget:
            self.left_out += 1
            return None
        try:
            content = make_thumbnail(Path(path))
        except UnreadableImage:
            self.missing += 1
            return None
        uri = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        key = hash_json(uri, KEY_LENGTH)
        if key not in self.uris:
            self._spent += len(uri)
            self.uris[key] = uri
        return key


def make_thumbnail(path: Path) -> bytes:
    """A WebP of an image file with at most SIDE pixels a side.

    Raises:
        UnreadableImage: the file cannot be read or decoded.
    """
    file = io.BytesIO()
    open_thumbnail(path, SIDE).save(file, "WEBP", quality=QUALITY)
    return file.getvalue()
