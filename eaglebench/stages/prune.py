"""What the store holds, who uses it, and how it is pruned. Imports neither torch nor Lightning."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eaglebench.stages.artefact_files import DAMAGED, MANIFEST, UNFINISHED, artefact_key, lock_if_free
from eaglebench.stages.manifest import read_manifest, read_parents
from eaglebench.training.checkpoint_files import list_checkpoints, step_of
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_json_object
from eaglebench.utils.temporary import clear_leftovers, remove_folder

UNUSED, INTERRUPTED, ALL = "unused", "unfinished", "all"
SELECTORS = (UNUSED, INTERRUPTED, ALL)  # what `prune` takes beside names
FINISHED, CORRUPT = "finished", "corrupt"


@dataclass(frozen=True)
class StoreEntry:
    """One artefact of a store.

    Attributes:
        folder: of the artefact.
        bytes: of all its files.
        written: when it was last written, seconds since 1970.
        state: `finished`, `unfinished, step N`, or `corrupt`.
        used_by: names of runs, and of artefacts that were trained from it.
    """

    folder: Path
    bytes: int
    written: float
    state: str
    used_by: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name under which it is listed, and which `prune` takes."""
        return self.folder.name


def list_entries(root: Path, runs: Iterable[Path]) -> list[StoreEntry]:
    """All artefacts of a store, the last written first. What dead processes left on their way is removed.

    Args:
        root: the folder of the store.
        runs: folders of the runs that may use them.
    """
    clear_leftovers(root)
    users = find_users(root, runs)
    entries = []
    for folder in [*list_folders(root), *list_folders(root / UNFINISHED), *list_folders(root / DAMAGED)]:
        files = list(iterate_files(folder))
        entries.append(
            StoreEntry(
                folder=folder,
                bytes=sum(size for size, _ in files),
                written=max((when for _, when in files), default=0.0),
                state=find_state(folder),
                used_by=tuple(users.get(artefact_key(folder), ())),
            )
        )
    return sorted(entries, key=lambda entry: -entry.written)


def iterate_files(folder: Path) -> Iterator[tuple[int, float]]:
    """Size in bytes and time of each file in a folder; files that vanish meanwhile are left out."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield (status := path.stat()).st_size, status.st_mtime


def list_folders(root: Path) -> list[Path]:
    """The folders in a folder, without hidden ones."""
    return [path for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")] if root.is_dir() else []


def find_state(folder: Path) -> str:
    """The state of an artefact, see `StoreEntry.state`; checksums are compared only when a stage uses it."""
    if folder.parent.name == UNFINISHED:
        return f"unfinished, step {max(map(step_of, list_checkpoints(folder)), default=0)}"
    if folder.parent.name == DAMAGED:
        return CORRUPT
    try:
        read_manifest(folder)
    except (OSError, ValueError):
        return CORRUPT
    return FINISHED


def find_users(root: Path, runs: Iterable[Path]) -> dict[str, list[str]]:
    """The names of the runs, and of the artefacts in the store, that use each key."""
    users: dict[str, list[str]] = {}
    for run in sorted(runs):
        stages = (read_json_object(run / MANIFEST) or {}).get("stages")
        for stage in stages if isinstance(stages, list) else ():
            if isinstance(stage, dict):  # in a run's manifest that is not damaged, all of them
                users.setdefault(str(stage.get("key")), []).append(run.name)
    for folder in [*list_folders(root), *list_folders(root / UNFINISHED)]:
        for parent in read_parents(folder):
            users.setdefault(parent, []).append(folder.name)
    return users


def select_entries(entries: Sequence[StoreEntry], wanted: Collection[str]) -> list[StoreEntry]:
    """The entries that `wanted` names, by their own names or by SELECTORS.

    Raises:
        UserError: a name is neither.
    """
    names = {entry.name for entry in entries}
    if unknown := sorted(set(wanted) - names - set(SELECTORS)):
        raise UserError(
            f"prune names {', '.join(unknown)}, which the store does not have: give names of the list, or "
            f"{', '.join(SELECTORS)}."
        )
    return [
        entry
        for entry in entries
        if entry.name in wanted
        or ALL in wanted
        or (UNUSED in wanted and not entry.used_by and entry.state == FINISHED)
        or (INTERRUPTED in wanted and entry.state != FINISHED)
    ]


def remove_entry(entry: StoreEntry) -> bool:
    """Remove an artefact; False, and nothing is removed, if a process is training it now."""
    parent = entry.folder.parent
    root = parent.parent if parent.name in (UNFINISHED, DAMAGED) else parent
    with lock_if_free(root / UNFINISHED / entry.name) as free:
        if free:
            remove_folder(entry.folder)
    return free
