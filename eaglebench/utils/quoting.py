"""Values of users' files, long texts and lists of names, where room is short."""

import reprlib
from collections.abc import Sequence

LONGEST = 80  # characters
QUOTE = reprlib.Repr()
QUOTE.maxstring = QUOTE.maxother = QUOTE.maxlong = LONGEST
QUOTE.maxlevel = 2


def quote(value: object) -> str:
    """A value of a user's file as a message shows it: in quotes if it is text, on one line, its middle left out."""
    return QUOTE.repr(value)


def shorten(text: str, most: int) -> str:
    """The text with at most so many characters; an ellipsis stands for what is cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def list_first(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """The first names, at most so many, and the number of the others: `a, b and 2 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more
