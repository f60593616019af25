"""The console that tasks log to."""

from rich.console import Console

from eaglebench.utils.distributed import is_main_process

LOG_WIDTH = 110  # characters


def new_console() -> Console:
    """A console for a task's log, which prints in the main process only."""
    console = Console(highlight=False, quiet=not is_main_process())
    if not console.is_terminal:  # a log file has no width of its own
        console.width = LOG_WIDTH
    return console
