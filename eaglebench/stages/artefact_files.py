"""Artefacts of finished and unfinished stages on disk: names and locks. Imports neither torch nor Lightning."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from eaglebench.utils.temporary import remove_folder

WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"
UNFINISHED = ".unfinished"  # folder in a store: checkpoints of what is being trained, and locks
DAMAGED = ".damaged"  # folder in a store: artefacts that were set aside


def artefact_name(label: str, key: str) -> str:
    """The name of the folder of a unit's artefact; `key` is the hash of everything that the result depends on."""
    return f"{label.replace('/', '-')}-{key}"


def artefact_key(folder: Path) -> str:
    """The key at the end of the name of an artefact's folder."""
    return folder.name.rpartition("-")[2]


def artefact_lock(checkpoint_folder: Path) -> FileLock:
    """The lock that the process holds which trains an artefact; it lies beside the folder of its checkpoints."""
    return FileLock(checkpoint_folder.with_name(f"{checkpoint_folder.name}.lock"))


def release_lock(lock: FileLock) -> None:
    """Release the lock of an artefact and remove its file; a process that waits for it sees that, and tries anew."""
    if lock.is_locked:
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


@contextmanager
def lock_if_free(checkpoint_folder: Path) -> Iterator[bool]:
    """A context that holds the lock of an artefact, and gives True; False if another process trains it now."""
    lock = artefact_lock(checkpoint_folder)
    checkpoint_folder.parent.mkdir(exist_ok=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        release_lock(lock)


def set_aside(folder: Path) -> Path:
    """Move a damaged artefact to where nothing looks for it, in place of an earlier one of its name; gives its path."""
    kept = folder.parent / DAMAGED / folder.name
    kept.parent.mkdir(exist_ok=True)
    remove_folder(kept)
    with suppress(FileNotFoundError):  # another process was first
        folder.rename(kept)
    return kept
