"""Artefacts of finished and unfinished stages on disk: names, locks, removal. Imports neither torch nor Lightning."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"
UNFINISHED = ".unfinished"  # folder in a store: checkpoints of what is being trained, and locks


def artefact_name(label: str, key: str) -> str:
    """The name of the folder of a unit's artefact; `key` is the hash of everything that the result depends on."""
    return f"{label.replace('/', '-')}-{key}"


def artefact_key(folder: Path) -> str:
    """The key at the end of the name of an artefact's folder."""
    return folder.name.rpartition("-")[2]


def artefact_lock(checkpoint_folder: Path) -> FileLock:
    """The lock that the process holds which trains an artefact; it lies beside the folder of its checkpoints."""
    return FileLock(checkpoint_folder.with_name(f"{checkpoint_folder.name}.lock"))


def temporary_path(folder: Path) -> Path:
    """A hidden path beside `folder` that no other process uses, from and to which the folder is renamed."""
    return folder.with_name(f".{folder.name}.{os.getpid()}.{time.monotonic_ns()}")


def remove_artefact(folder: Path) -> None:
    """Remove an artefact. It is renamed first, so that no other process ever finds half of it."""
    hidden = temporary_path(folder)
    with suppress(FileNotFoundError):  # another process was first
        folder.rename(hidden)
        shutil.rmtree(hidden)
