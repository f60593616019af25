"""The exception for mistakes that a user can correct, and helpers for its messages."""

import errno

TERMINATED = 143  # exit code of a process that received SIGTERM and saved its state

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
# What a user can mend: a disk that is full, read-only or failing, a folder that may not be written or is a file.
DISK_ERRORS = (
    *FULL_DISK, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
    errno.EFBIG, errno.EIO,
)  # fmt: skip


class UserError(Exception):
    """A mistake in a command, a config or a data file. Its message is one sentence that says how to correct it.

    The command line prints the message and exits with code 2; `debug=true` shows the traceback too.
    """


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its class name if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that a disk or a quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return True
        error = error.__cause__ or error.__context__
    return False


def describe_disk_error(error: OSError) -> str:
    """What a user reads of an error that is in DISK_ERRORS."""
    what = f"{error.filename} cannot be read or written" if error.filename else "a file cannot be read or written"
    way_out = "make room" if is_disk_full(error) else "look at that path, or give another"
    return f"{what} ({error.strerror}): {way_out}, and run the same command again."


def suggest_multiples(size: int, step: int) -> str | None:
    """The end of an error message that names the two multiples of `step` nearest to `size`; None if `size` is one."""
    if size >= step and not size % step:
        return None
    below = max(size // step, 1) * step
    return f"the nearest that fit are {below} and {below + step}."
