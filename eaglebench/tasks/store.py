"""task=store: what the store of finished stages holds, and its clearing."""

import time
from glob import glob
from pathlib import Path

from rich.table import Table

from eaglebench.config.compose import Command
from eaglebench.stages.prune import StoreEntry, list_entries, remove_entry, select_entries
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError

SHOWN = 3  # users of an artefact that are named


def store(command: Command) -> None:
    """List the artefacts of the store, or remove those that `prune` names.

    Raises:
        UserError: there is no store, or no artefact of a name.
    """
    config, console = command.config, new_console()
    root = config.store_folder
    if root is None or not root.is_dir():
        raise UserError(
            f"store={config.store} is no folder: give the one that trainings wrote to, or train something first."
        )
    listed = list_entries(root, map(Path, glob(str(config.runs))))
    if config.prune is None:
        console.print(table_of(listed))
        console.print(f"{len(listed)} in {root}, {megabytes(listed):.1f} MB")
        return
    words = [config.prune] if isinstance(config.prune, str) else config.prune
    gone = []
    for entry in select_entries(listed, words):
        if remove_entry(entry):
            gone.append(entry)
            console.print(f"removed {entry.name} ({entry.state})", soft_wrap=True)
        else:
            console.print(f"kept {entry.name}: a process is training it", soft_wrap=True)
    console.print(f"{len(gone)} removed, {megabytes(gone):.1f} MB")


def megabytes(listed: list[StoreEntry]) -> float:
    """The size of all of them."""
    return sum(entry.bytes for entry in listed) / 1e6


def table_of(listed: list[StoreEntry]) -> Table:
    """Name, size, age, state, and who uses it."""
    table = Table(title="finished and unfinished stages", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("MB", justify="right")
    table.add_column("age", justify="right")
    table.add_column("state")
    table.add_column("used by")
    for entry in listed:
        more = len(entry.used_by) - SHOWN
        users = [*entry.used_by[:SHOWN], *([f"{more} more"] if more > 0 else [])]
        age = ago(max(0.0, time.time() - entry.written))  # not negative, whatever the clock did
        table.add_row(entry.name, f"{entry.bytes / 1e6:.1f}", age, entry.state, "\n".join(users) or "-")
    return table


def ago(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
