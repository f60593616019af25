"""Values of users' files in messages."""

import reprlib

LONGEST = 80  # characters
QUOTE = reprlib.Repr()
QUOTE.maxstring = QUOTE.maxother = QUOTE.maxlong = LONGEST
QUOTE.maxlevel = 2


def quote(value: object) -> str:
    """A value of a user's file as a message shows it: in quotes if it is text, on one line, its middle left out."""
    return QUOTE.repr(value)
