"""Some predictions of each run, the same questions in all, and small pictures of their images."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from eaglebench.report.entries import is_number
from eaglebench.utils.hashing import digest

SIDE = 144  # pixels
QUALITY = 70
BUDGET = 16_000_000  # bytes of all pictures together
LONGEST = 400  # characters of a text
KEY_LENGTH = 12


@dataclass(frozen=True)
class Chosen:
    """Rows of a run's predictions.

    Attributes:
        rows: by their question's key, which is the same in every run that was asked it.
        total: how many there are in the file.
        damaged: how many lines of it cannot be read.
    """

    rows: Mapping[str, Mapping[str, Any]]
    total: int
    damaged: int


def choose(paths: Sequence[Path], limit: int) -> Chosen:
    """At most `limit` rows of files, evenly from all families, in an order that depends on the questions alone.

    Raises:
        OSError, ValueError: a file cannot be read.
    """
    families: dict[str, dict[str, dict[str, Any]]] = {}
    total = damaged = 0
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if (row := row_of(line)) is None:
                    damaged += 1
                    continue
                total += 1
                asked = [row[name] for name in ("id", "family", "question", "references")]
                families.setdefault(row["family"], {})[digest(asked, KEY_LENGTH)] = row
    ranked = sorted(
        (rank, key, row) for rows in families.values() for rank, (key, row) in enumerate(sorted(rows.items()))
    )
    return Chosen({key: row for _, key, row in ranked[:limit]}, total, damaged)


def row_of(line: str) -> dict[str, Any] | None:
    """What the page shows of a line of predictions.jsonl; None if it is no such line."""
    try:
        row = json.loads(line)
        references = row.get("references") or [row["reference"]]
        texts = {name: str(row[name])[:LONGEST] for name in ("family", "question", "prediction")}
        if not is_number(row["score"]):
            return None
        return {
            "id": str(row.get("id", "")),
            **texts,
            "references": [str(reference)[:LONGEST] for reference in references],
            "score": round(row["score"], 4),
            "image": row.get("image"),
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@dataclass
class Pictures:
    """Small pictures of image files, each held once, until the budget is spent.

    Attributes:
        held: their data URIs by key.
        missing, left_out: how many files could not be read, and how many came after the budget was spent.
    """

    budget: int = BUDGET
    held: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    left_out: int = 0
    _keys: dict[str, str | None] = field(default_factory=dict)
    _spent: int = 0

    def add(self, path: str | None) -> str | None:
        """The key of a file's picture; None where there is none."""
        if not isinstance(path, str):
            return None
        if path not in self._keys:
            self._keys[path] = self._made(path)
        return self._keys[path]

    def _made(self, path: str) -> str | None:
        if self._spent >= self.budget:
            self.left_out += 1
            return None
        try:
            content = thumbnail(Path(path))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what PIL raises for damaged files
            self.missing += 1
            return None
        uri = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        key = digest(uri, KEY_LENGTH)
        if key not in self.held:
            self._spent += len(uri)
            self.held[key] = uri
        return key


def thumbnail(path: Path) -> bytes:
    """A WebP of at most SIDE pixels a side."""
    with Image.open(path) as image:
        image.draft("RGB", (SIDE, SIDE))  # large photographs are decoded at a fraction of their size
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()
