"""The exception for images that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from eaglebench.utils.errors import UserError


class UnreadableImage(Exception):
    """The reason why an image cannot be used: a clause that leaves out which image it is."""


@contextmanager
def name_unreadable(image: str) -> Iterator[None]:
    """Name the image that turns out to be unreadable.

    Args:
        image: the start of the message, such as "the image a.png".

    Raises:
        UserError: in place of an `UnreadableImage`.
    """
    try:
        yield
    except UnreadableImage as error:
        raise UserError(f"{image} cannot be read: {error}.") from error
