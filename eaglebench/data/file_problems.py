"""Why a path is no file that can be read."""

import stat
from pathlib import Path

MISSING = "does not exist"  # the answer of `find_file_problem` for a path where nothing is


def find_file_problem(path: Path) -> str | None:
    """Why there is no file to read at `path`, such as "does not exist"; None if there is one."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except (OSError, ValueError) as error:  # a name that is too long, a folder without permission, a NUL in the name
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISREG(mode):
        return None
    return "is a folder" if stat.S_ISDIR(mode) else "is not a file"
