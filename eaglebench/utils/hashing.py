"""Names and seeds that are the same in every process."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def digest(value: Any, length: int) -> str:
    """A hex digest of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def without_module_paths(config: Any) -> Any:
    """A JSON-like config with every `_target_`, at any depth, cut down to its class name.

    A hash of the result stays the same when the class moves to another module.
    """
    if isinstance(config, Mapping):
        return {
            key: value.rpartition(".")[2]
            if key == "_target_" and isinstance(value, str)
            else without_module_paths(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return [without_module_paths(value) for value in config]
    return config


def named_seed(seed: int, name: str) -> int:
    """A seed of its own for everything that has a name."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
