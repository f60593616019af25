"""Hashes and seeds that are the same in every process and on every machine."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


def hash_json(value: Any, length: int) -> str:
    """The first `length` hex digits of the SHA-256 of a JSON-like value; the order of keys plays no part."""
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
    """The 32-bit seed of the random choices called `name`, which depends on the run's seed and the name alone."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_unchanged(path: Path) -> str:
    """The SHA-256 of a file, in hex, read once in a process for as long as its size and time stay."""
    state = path.stat()
    return _hash_state(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _hash_state(path: Path, size: int, modified: int) -> str:
    return hash_file(path)
