"""Processes that end with the one that started them, however that one ends. Imports nothing heavy."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from threading import Thread

from eaglebench.utils.errors import TERMINATED

PARENT = "EAGLEBENCH_PARENT"  # environment variable: the number of the process that started this one
PR_SET_PDEATHSIG = 1  # of prctl(2)


def parent_environment() -> dict[str, str]:
    """The environment variable with which a `python -m eaglebench` that this process starts ends together with it."""
    return {PARENT: str(os.getpid())}


@contextmanager
def without_main() -> Iterator[None]:
    """Within it, spawned processes do not import the program that runs.

    A script without `if __name__ == "__main__"` would start itself again in each of them.
    """
    main = sys.modules["__main__"]
    hidden: dict[str, object] = {
        name: main.__dict__.pop(name) for name in ("__spec__", "__file__") if name in main.__dict__
    }
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)


def end_with_parent() -> None:
    """In a process with `parent_environment`: when its parent dies, it receives SIGTERM, and writes a checkpoint.

    Raises:
        SystemExit: the parent is dead already.
    """
    parent = os.environ.pop(PARENT, None)  # not for the processes that this one starts
    if parent is None:
        return
    signal_when_parent_dies(signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(TERMINATED)


def start_worker(*_: object) -> None:
    """The first call in a worker process of a pool or a loader: it is killed when its parent dies.

    Ctrl-C is for the parent, which ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal_when_parent_dies(signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(TERMINATED)
    if parent is not None and parent.pid != os.getppid():  # a server forked this process, and lives as long as it
        Thread(target=exit_after, args=(parent,), daemon=True).start()


def exit_after(parent: BaseProcess) -> None:
    """Wait for the end of a process, and end this one."""
    parent.join()
    os._exit(TERMINATED)


def signal_when_parent_dies(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when the one that started it dies. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
