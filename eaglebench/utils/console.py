"""The console that tasks log to. Imports nothing heavy: commands that need no torch log, too."""

import sys

from rich.console import Console

LOG_WIDTH = 110  # characters


def new_console() -> Console:
    """A console for a task's log, which prints in the main process only."""
    # Several processes are there only once torch has connected them.
    distributed = sys.modules.get("eaglebench.utils.distributed")
    console = Console(highlight=False, quiet=distributed is not None and not distributed.is_main_process())
    if not console.is_terminal:  # a log file has no width of its own
        console.width = LOG_WIDTH
    return console
