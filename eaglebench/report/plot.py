"""A plot of a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plot:
    """A plot as an SVG element.

    Attributes:
        name: of its file, without the ending.
        title: what it shows.
        caption: how it is read.
        svg: the element; its ink is the colour of the text around it.
    """

    name: str
    title: str
    caption: str
    svg: str
