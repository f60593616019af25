"""task=store: what the store of finished stages holds, and its clearing."""

import time
from glob import glob
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from eaglebench.config.schema import optional_path, plain
from eaglebench.stages.prune import Entry, chosen, entries, removed
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError

SHOWN = 3  # users of an artefact that are named


def store(cfg: DictConfig) -> None:
    """List the artefacts of `cfg.store`, or remove those that `cfg.prune` names."""
    console = new_console()
    root = optional_path(cfg.store)
    if root is None or not root.is_dir():
        raise UserError(
            f"store={cfg.store} is no folder: give the one that trainings wrote to, or train something first."
        )
    listed = entries(root, map(Path, glob(cfg.report.runs)))
    if cfg.prune is None:
        console.print(table_of(listed))
        console.print(f"{len(listed)} in {root}, {megabytes(listed):.1f} MB")
        return
    words = [cfg.prune] if isinstance(cfg.prune, str) else plain(cfg.prune)
    gone = []
    for entry in chosen(listed, words):
        if removed(entry):
            gone.append(entry)
            console.print(f"removed {entry.name} ({entry.state})", soft_wrap=True)
        else:
            console.print(f"kept {entry.name}: a process is training it", soft_wrap=True)
    console.print(f"{len(gone)} removed, {megabytes(gone):.1f} MB")


def megabytes(listed: list[Entry]) -> float:
    """The size of all of them."""
    return sum(entry.bytes for entry in listed) / 1e6


def table_of(listed: list[Entry]) -> Table:
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
        age = ago(time.time() - entry.written)
        table.add_row(entry.name, f"{entry.bytes / 1e6:.1f}", age, entry.state, "\n".join(users) or "-")
    return table


def ago(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
