"""TODO."""

from rich.console import Console

from eaglebench.utils.distributed import leads

LOG_WIDTH = 110


def new_console() -> Console:
    """Where tasks tell what they do; of several processes, one speaks."""
    console = Console(highlight=False, quiet=not leads())
    if not console.is_terminal:  # a log file has no width of its own
        console.width = LOG_WIDTH
    return console
