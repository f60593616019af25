"""The one exception for mistakes that a user can put right, and what its sentences share."""

TERMINATED = 143  # exit code of a process that was asked to end, and did in order


class UserError(Exception):
    """A mistake in a command, a config or a data file, told in one sentence with the way out.

    The command line prints the sentence and exits with code 2; `debug=true` shows the traceback too.
    """


def first_line(error: BaseException) -> str:
    """What a library's error says in its first line, or its name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest_that_fit(size: int, step: int) -> str | None:
    """The two multiples of `step` nearest to a size that is none, as words; None if it is one."""
    if size >= step and not size % step:
        return None
    below = max(size // step, 1) * step
    return f"the nearest that fit are {below} and {below + step}."
