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
TEXT = 0.16  # height of the text above or below an image, as a share of its cell
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
    # Measuring every text, as an automatic layout does, takes twice as long as drawing.
    figure.subplots_adjust(left=0.01, right=0.99, bottom=TEXT / lines, top=1 - TEXT / lines, wspace=0.1, hspace=0.5)
    for place, row in enumerate(chosen):
        axes = figure.add_subplot(lines, columns, place + 1)
        axes.set_axis_off()
        if row["image"] is not None:
            with name_unreadable(f"the image {row['image']}"):
                axes.imshow(open_thumbnail(row["image"], SIDE, max_pixels=None))
        # A dollar starts no formula.
        style: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "fontsize": 8, "parse_math": False}
        axes.text(0.5, 1.04, f"{row['family']}\n{one_line(row['question'])}", va="bottom", **style)
        answers = f"reference: {one_line(row['reference'])}\nmodel: {one_line(row['prediction'])}"
        axes.text(0.5, -0.04, answers, va="top", color=RIGHT if row["score"] == 1 else WRONG, **style)
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
