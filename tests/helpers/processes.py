"""The processes that work in a folder: a command, and all that it started."""

import os
import time
from contextlib import suppress
from pathlib import Path


def processes_in(folder: Path) -> list[str]:
    """The command lines of the living processes whose working folder is `folder`, each after its number."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile
            if os.readlink(process / "cwd") == str(folder.resolve()):
                words = (process / "cmdline").read_bytes().split(b"\0")
                found.append(f"{process.name} {b' '.join(words).decode(errors='replace').strip()}")
    return sorted(found)


def wait_until_gone(folder: Path, seconds: float) -> list[str]:
    """The processes that still work in a folder after so many seconds; returns as soon as there are none."""
    deadline = time.monotonic() + seconds
    while (found := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
