"""The exception for mistakes that a user can correct, and helpers for its messages."""

TERMINATED = 143  # exit code of a process that received SIGTERM and saved its state


class UserError(Exception):
    """A mistake in a command, a config or a data file. Its message is one sentence that says how to correct it.

    The command line prints the message and exits with code 2; `debug=true` shows the traceback too.
    """


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its class name if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def suggest_multiples(size: int, step: int) -> str | None:
    """The end of an error message that names the two multiples of `step` nearest to `size`; None if `size` is one."""
    if size >= step and not size % step:
        return None
    below = max(size // step, 1) * step
    return f"the nearest that fit are {below} and {below + step}."
