"""A picture of sample images with their questions, answers and predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

COLUMNS = 7
PER_FAMILY = 2
SHOWN = 14  # at most
CELL = (2.1, 2.75)  # inches
RIGHT, WRONG = "#1a7f37", "#c0392b"
LONGEST = 30  # characters of a line


def draw_samples(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the first questions of each family: image, question, reference, and the prediction in green or red."""
    chosen = first_of_each(rows)
    columns = min(COLUMNS, len(chosen))
    lines = -(-len(chosen) // columns)
    figure = Figure(figsize=(CELL[0] * columns, CELL[1] * lines), layout="constrained")
    for place, row in enumerate(chosen):
        axes = figure.add_subplot(lines, columns, place + 1)
        axes.set_axis_off()
        if row["image"] is not None:
            with Image.open(row["image"]) as image:
                axes.imshow(image.convert("RGB"))
        axes.set_title(f"{row['family']}\n{shortened(row['question'])}", fontsize=8)
        told = f"reference: {shortened(row['reference'])}\nmodel: {shortened(row['prediction'])}"
        colour = RIGHT if row["score"] == 1 else WRONG
        axes.text(0.5, -0.04, told, transform=axes.transAxes, ha="center", va="top", fontsize=8, color=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    FigureCanvasAgg(figure).print_figure(temporary, format="png", dpi=110)
    temporary.rename(path)


def first_of_each(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first questions of each family."""
    families = sorted({row["family"] for row in rows})
    each = max(PER_FAMILY, SHOWN // len(families))
    return [row for family in families for row in [r for r in rows if r["family"] == family][:each]][:SHOWN]


def shortened(text: str) -> str:
    """One line of text; `$` would start mathematics."""
    line = " ".join(text.split()).replace("$", r"\$")
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
