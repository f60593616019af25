"""Checkpoints on disk: their names, checksums and removal. Imports neither torch nor Lightning.

A checkpoint is written under a hidden name and renamed: under its own name it is complete.
"""

import json
import os
import shutil
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_file

NAME = "step-{}.{}"  # the optimizer step, and the layout: how a strategy writes weights
CHECKSUMS = "checksums.json"  # in checkpoints that are folders


def list_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, in no order."""
    return list(folder.glob(NAME.format("*", "*")))


def step_of(checkpoint: Path) -> int:
    """The number of optimizer steps before a checkpoint was written, by its name."""
    return int(checkpoint.stem.rpartition("-")[2])


def make_room(temporary: Path) -> None:
    """Make the folder in which a checkpoint will be written as `temporary`, and remove what has that name."""
    temporary.parent.mkdir(parents=True, exist_ok=True)
    remove_checkpoint(temporary)


def commit(temporary: Path, target: Path) -> None:
    """Give a checkpoint that is completely written its name; a folder gets the checksums of its files first.

    Raises:
        OSError: the disk is full or fails.
    """
    if temporary.is_dir():
        write_json(temporary / CHECKSUMS, checksums(temporary))
    sync(temporary)
    temporary.rename(target)


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a checkpoint, by its path in `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


def is_intact(checkpoint: Path) -> bool:
    """Whether a checkpoint holds what was written to it, by the checksums in its folder or its zip archive."""
    try:
        if checkpoint.is_dir():
            return bool(json.loads((checkpoint / CHECKSUMS).read_text(encoding="utf-8")) == checksums(checkpoint))
        with ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (BadZipFile, OSError, EOFError, ValueError):
        return False


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint, a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until all files of a checkpoint are on the disk, so that a rename cannot overtake them."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
