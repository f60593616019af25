"""The one exception for mistakes that a user can put right."""


class UserError(Exception):
    """A mistake in a command, a config or a data file, told in one sentence with the way out.

    The command line prints the sentence and exits with code 2; `debug=true` shows the traceback too.
    """


def first_line(error: BaseException) -> str:
    """What a library's error says in its first line, or its name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
