"""Names and seeds that are the same in every process."""

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(value: Any, length: int) -> str:
    """A hex digest of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def named_seed(seed: int, name: str) -> int:
    """A seed of its own for everything that has a name."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
