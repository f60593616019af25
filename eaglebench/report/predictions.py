"""Some predictions of each run, the same questions in all runs, and thumbnails of their images."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from eaglebench.report.run_files import is_number
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
    """

    rows: Mapping[str, Mapping[str, Any]]
    total: int
    damaged: int


def choose_predictions(paths: Sequence[Path], limit: int) -> ChosenPredictions:
    """At most `limit` predictions, evenly from all families; which ones depends on the questions alone.

    Args:
        paths: files like predictions.jsonl.
        limit: most predictions.

    Raises:
        OSError, ValueError: a file cannot be read.
    """
    families: dict[str, dict[str, dict[str, Any]]] = {}
    total = damaged = 0
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if (row := parse_prediction(line)) is None:
                    damaged += 1
                    continue
                total += 1
                question = [row[name] for name in ("id", "family", "question", "references")]
                families.setdefault(row["family"], {})[hash_json(question, KEY_LENGTH)] = row
    ranked = sorted(
        (rank, key, row) for rows in families.values() for rank, (key, row) in enumerate(sorted(rows.items()))
    )
    return ChosenPredictions({key: row for _, key, row in ranked[:limit]}, total, damaged)


def parse_prediction(line: str) -> dict[str, Any] | None:
    """What the page shows of a line of predictions.jsonl; None if the line is damaged."""
    try:
        row = json.loads(line)
        references = row.get("references") or [row["reference"]]
        texts = {name: str(row[name])[:MAX_TEXT] for name in ("family", "question", "prediction")}
        if not is_number(row["score"]):
            return None
        return {
            "id": str(row.get("id", "")),
            **texts,
            "references": [str(reference)[:MAX_TEXT] for reference in references],
            "score": round(row["score"], 4),
            "image": row.get("image"),
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


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
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what PIL raises for damaged files
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
        OSError, ValueError, SyntaxError, Image.DecompressionBombError: the file cannot be read or decoded.
    """
    with Image.open(path) as image:
        image.draft("RGB", (SIDE, SIDE))  # large photographs are decoded at a fraction of their size
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()
