"""Text and JSON files, written atomically: after a crash a file is the old one or the new one, never half of either."""

import json
from pathlib import Path
from typing import Any

from eaglebench.utils.temporary import temporary_file


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file next to `path` and rename it; missing folders are made.

    Raises:
        OSError: the disk is full, cannot be written or fails; it names `path`.
    """
    with temporary_file(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object per line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json_object(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if the file is missing or does not hold one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
