"""Checkpoints on disk: their names, checksums and removal. Imports neither torch nor Lightning.

A checkpoint is a folder that holds what a strategy wrote, a file or a folder, and the checksums of it. It is written
under a hidden name and renamed: under its own name it is complete.
"""

import json
import os
import re
import shutil
from pathlib import Path

from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_file

NAME = "step-{}.{}"  # the optimizer step, and the layout: how a strategy writes weights
PATTERN = re.compile(r"step-(\d+)\.[a-z0-9-]+")
STATE = "state"  # in a checkpoint: what its strategy wrote
CHECKSUMS = "checksums.json"  # in a checkpoint


def list_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, that of the last step first; files of other names are left alone."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if PATTERN.fullmatch(path.name)), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """The number of optimizer steps before a checkpoint was written, by its name."""
    return int(checkpoint.stem.rpartition("-")[2])


def make_room(temporary: Path) -> None:
    """Make the empty folder in which a checkpoint will be written as `temporary`.

    What crashes left half-written is removed, and all checkpoints but the last: so there are never more than two.
    """
    temporary.parent.mkdir(parents=True, exist_ok=True)
    for path in [*temporary.parent.glob(f".{NAME.format('*', '*')}"), *list_checkpoints(temporary.parent)[1:]]:
        remove_checkpoint(path)
    temporary.mkdir()


def commit(temporary: Path, target: Path) -> None:
    """Give a checkpoint that is completely written the checksums of its files, and its name.

    Raises:
        OSError: the disk is full or fails.
    """
    write_json(temporary / CHECKSUMS, checksums(temporary))
    sync(temporary)
    temporary.rename(target)


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a checkpoint, by its path in `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


def is_intact(checkpoint: Path) -> bool:
    """Whether a checkpoint holds what was written to it, by the checksums in its folder.

    Raises:
        OSError: the disk fails.
    """
    try:
        expected = json.loads((checkpoint / CHECKSUMS).read_bytes())
        return bool(expected) and bool(expected == checksums(checkpoint))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, RecursionError):
        return False


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint, a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Wait until all files of a checkpoint are on the disk, so that a rename cannot overtake them."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
