"""What the store holds, who uses it, and how it is cleared."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from eaglebench.stages.store import MANIFEST, UNFINISHED, lock_of, remove
from eaglebench.training.checkpointing import complete_in, step_of
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_object

UNUSED, INTERRUPTED, ALL = "unused", "unfinished", "all"
A_DAY = 86_400.0  # seconds
LEFT = "left by a crash"
WORDS = (UNUSED, INTERRUPTED, ALL)  # what can be removed at once


@dataclass(frozen=True)
class Entry:
    """One artefact of a store.

    Attributes:
        folder: where it lies.
        bytes: of all its files.
        written: when it was last written, seconds since 1970.
        state: `finished`, `unfinished, step N`, `damaged`, or `left by a crash`.
        used_by: runs, and artefacts that were trained from it.
    """

    folder: Path
    bytes: int
    written: float
    state: str
    used_by: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is listed, and given to `prune`."""
        return self.folder.name


def entries(root: Path, runs: Iterable[Path]) -> list[Entry]:
    """All artefacts under `root`, the last written first; `runs` are the folders of runs that may use them."""
    users = used(root, runs)
    found = []
    for folder in [*folders(root), *folders(root / UNFINISHED), *left(root)]:
        files = list(sizes_and_times(folder))
        found.append(
            Entry(
                folder=folder,
                bytes=sum(size for size, _ in files),
                written=max((when for _, when in files), default=0.0),
                state=state_of(folder),
                used_by=tuple(users.get(key_of(folder), ())),
            )
        )
    return sorted(found, key=lambda entry: -entry.written)


def sizes_and_times(folder: Path) -> Iterator[tuple[int, float]]:
    """Of the files of a folder that are still there when it is their turn."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield (state := path.stat()).st_size, state.st_mtime


def folders(root: Path) -> list[Path]:
    """The folders of a folder, without hidden ones."""
    return [path for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")] if root.is_dir() else []


def left(root: Path) -> list[Path]:
    """Folders on their way into the store or out of it whose process has not touched them for a day."""
    found = [path for path in root.glob(".*.*.*") if path.is_dir()] if root.is_dir() else []
    return [path for path in found if time.time() - path.stat().st_mtime > A_DAY]


def key_of(folder: Path) -> str:
    """The key at the end of an artefact's name."""
    return folder.name.rpartition("-")[2]


def state_of(folder: Path) -> str:
    """Whether an artefact is finished."""
    if folder.name.startswith("."):
        return LEFT
    if folder.parent.name == UNFINISHED:
        return f"unfinished, step {max(map(step_of, complete_in(folder)), default=0)}"
    return "damaged" if manifest_of(folder) is None else "finished"


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """What a folder's manifest says; None if there is none that can be read."""
    return read_object(folder / MANIFEST)


def used(root: Path, runs: Iterable[Path]) -> dict[str, list[str]]:
    """Which runs and artefacts use each key."""
    users: dict[str, list[str]] = {}
    for run in sorted(runs):
        for stage in (manifest_of(run) or {}).get("stages", ()):
            users.setdefault(stage["key"], []).append(run.name)
    for folder in [*folders(root), *folders(root / UNFINISHED)]:
        description = (manifest_of(folder) or {}).get("description", {})
        for parent in sorted(set(description.get("parents", {}).values())):
            users.setdefault(parent, []).append(folder.name)
    return users


def chosen(listed: Sequence[Entry], words: Collection[str]) -> list[Entry]:
    """The artefacts that words name: their own names, or those of WORDS.

    Raises:
        UserError: a word names nothing.
    """
    names = {entry.name for entry in listed}
    if unknown := sorted(set(words) - names - set(WORDS)):
        raise UserError(
            f"prune names {', '.join(unknown)}, which the store does not have: give names of the list, or {', '.join(WORDS)}."
        )
    return [
        entry
        for entry in listed
        if entry.name in words
        or ALL in words
        or (UNUSED in words and not entry.used_by and entry.state == "finished")
        or (INTERRUPTED in words and (entry.folder.parent.name == UNFINISHED or entry.state == LEFT))
    ]


def removed(entry: Entry) -> bool:
    """Remove an artefact, unless a process is training it now."""
    at_work = entry.folder.parent.name == UNFINISHED
    lock = lock_of(entry.folder if at_work else entry.folder.parent / UNFINISHED / entry.name)
    Path(lock.lock_file).parent.mkdir(exist_ok=True)
    try:
        with lock.acquire(blocking=False):
            remove(entry.folder)
    except Timeout:
        return False
    return True
