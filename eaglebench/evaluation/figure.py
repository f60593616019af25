"""A figure of sample images with their questions, reference answers and predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eaglebench.data.open_image import open_thumbnail
from eaglebench.data.unreadable import name_unreadable
from eaglebench.utils.quoting import shorten
from eaglebench.utils.temporary import temporary_file

COLUMNS = 7
PER_FAMILY = 2  # samples, at least
MAX_SAMPLES = 14
CELL = (2.1, 2.75)  # width and height, inches
RIGHT, WRONG = "#1a7f37", "#c0392b"
MAX_LINE = 30  # characters
SQUARE = 1.85  # room for an image, inches
TEXT = 0.44  # height of the text above or below it, inches
GAP = 0.07  # between image and text, inches
SIDE = 512  # most pixels of an image, more than a cell shows


def draw_samples(predictions: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG with the first questions of each family: image, question, reference and prediction.

    Right predictions are green, others red.

    Args:
        predictions: rows of predictions.jsonl.
        path: the PNG.

    Raises:
        UserError: an image cannot be read.
    """
    # Imported here: it takes as long as all else that reads scores and predictions.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen = first_per_family(predictions)
    columns = min(COLUMNS, len(chosen))
    lines = -(-len(chosen) // columns)
    figure = Figure(figsize=(CELL[0] * columns, CELL[1] * lines))
    # One plot whose unit is an inch, in place of one for each sample: those take longer than all that is in them.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    style: dict[str, Any] = {"ha": "center", "fontsize": 8, "parse_math": False}  # a dollar starts no formula
    for place, row in enumerate(chosen):
        middle, top = CELL[0] * (place % columns + 0.5), -CELL[1] * (place // columns)
        bottom = top - TEXT - SQUARE
        if row["image"] is not None:
            with name_unreadable(f"the image {row['image']}"):
                image = open_thumbnail(row["image"], SIDE, max_pixels=None)
            width, height = (SQUARE / 2 * side / max(image.size) for side in image.size)
            centre = bottom + SQUARE / 2
            axes.imshow(image, extent=(middle - width, middle + width, centre - height, centre + height), aspect="auto")
        axes.text(middle, bottom + SQUARE + GAP, f"{row['family']}\n{one_line(row['question'])}", va="bottom", **style)
        answers = f"reference: {one_line(row['reference'])}\nmodel: {one_line(row['prediction'])}"
        axes.text(middle, bottom - GAP, answers, va="top", color=RIGHT if row["score"] == 1 else WRONG, **style)
    axes.set(xlim=(0, CELL[0] * columns), ylim=(-CELL[1] * lines, 0))
    with temporary_file(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, format="png", dpi=110)


def first_per_family(predictions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first rows of each family, the same number of each, at most MAX_SAMPLES in all."""
    families = sorted({row["family"] for row in predictions})
    each = max(PER_FAMILY, MAX_SAMPLES // len(families))
    chosen = [row for family in families for row in [row for row in predictions if row["family"] == family][:each]]
    return chosen[:MAX_SAMPLES]


def one_line(text: str) -> str:
    """The text as one line of at most MAX_LINE characters."""
    return shorten(" ".join(text.split()), MAX_LINE)
