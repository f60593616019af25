"""A lock between processes, as a file that says who holds it. The operating system frees it when its holder dies."""

import fcntl
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eaglebench.utils.errors import UserError


@contextmanager
def exclusive(path: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Within this context, no other process is in one of the same path; one that is, is waited for.

    The file is removed in the end. A dead holder's is taken over.

    Args:
        log: called with the process that is waited for, as `process 123 on HOST`.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        handle = _acquire(path, log)
    except OSError as error:
        raise UserError(f"{path.parent} cannot be written ({error}): give another folder.") from error
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()  # while it is held, so that it is no other process's
        os.close(handle)


def _acquire(path: Path, log: Callable[[str], None]) -> int:
    """The descriptor of the locked file."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, log)
        except BaseException:
            os.close(handle)
            raise
        if _is_at(handle, path):
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {platform.node()}".encode())
            return handle
        os.close(handle)  # its holder removed it: there may be a new one


def _lock(handle: int, log: Callable[[str], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log(os.pread(handle, 200, 0).decode(errors="replace") or "another process")
        fcntl.flock(handle, fcntl.LOCK_EX)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
