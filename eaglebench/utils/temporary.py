"""Temporary files and folders beside what they will replace. Those of dead processes are removed when they are met.

A process holds a lock on each of its own for as long as it lives: the operating system releases the lock of one that
dies. Neither times nor process numbers are compared, which mean little on another machine or after a jump of the clock.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

SUFFIX = ".eaglebench-part"  # of all temporary names, which are hidden
LOCK, CONTENT = "lock", "content"  # in a temporary folder
NAME_LENGTH = 50  # characters of the final name in a temporary one: file systems limit names to 255 bytes


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """An empty file beside `path` that takes its name when the context ends, and is removed if an exception ends it.

    Missing folders are made.

    Raises:
        OSError: the disk is full, cannot be written or fails; it names `path`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers_once(path.parent)
        temporary, lock = create_file(path)
        try:
            yield temporary
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(lock)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # a temporary name tells a user nothing


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """An empty folder on the disk of `path`, to be filled and renamed; what is still there is removed at the end.

    Missing folders above `path` are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers_once(path.parent)
    holder, lock = create_folder(path)
    try:
        (holder / CONTENT).mkdir()
        yield holder / CONTENT
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        os.close(lock)


def remove_folder(folder: Path) -> None:
    """Remove a folder, or a file in its place. It is renamed first, so that no other process ever finds half of it."""
    with suppress(FileNotFoundError), temporary_folder(folder) as temporary:  # not there: another process was first
        folder.rename(temporary / folder.name)


def create_file(path: Path) -> tuple[Path, int]:
    """A new temporary file beside `path`, and the descriptor that locks it."""
    while True:
        handle, name = tempfile.mkstemp(SUFFIX, f".{path.name[:NAME_LENGTH]}.", path.parent)
        if hold(handle):
            return Path(name), handle
        os.close(handle)


def create_folder(path: Path) -> tuple[Path, int]:
    """A new temporary folder beside `path`, and the descriptor that locks it."""
    while True:
        holder = Path(tempfile.mkdtemp(SUFFIX, f".{path.name[:NAME_LENGTH]}.", path.parent))
        with suppress(FileNotFoundError):  # taken for a leftover before it was locked
            handle = os.open(holder / LOCK, os.O_RDWR | os.O_CREAT)
            if hold(handle):
                return holder, handle
            os.close(handle)


def hold(handle: int) -> bool:
    """Lock a new file; False if another process took it for a leftover before."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where nothing is taken for a leftover
        return True
    return os.fstat(handle).st_nlink > 0


@cache
def clear_leftovers_once(folder: Path) -> None:
    """Remove what dead processes left in a folder, once in a process: listing a large folder takes long."""
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` that no living process holds."""
    for path in list_leftovers(folder):
        is_folder = path.is_dir()
        try:
            handle = os.open(path / LOCK if is_folder else path, os.O_RDWR | (os.O_CREAT if is_folder else 0))
        except OSError:  # gone meanwhile, or of another user
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_folder:
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:  # its process lives
            continue
        finally:
            os.close(handle)


def list_leftovers(folder: Path) -> list[Path]:
    """The temporary files and folders in `folder`, of living and of dead processes."""
    return sorted(folder.glob(f".*{SUFFIX}"))
