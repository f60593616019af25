"""A bar chart drawn by matplotlib: reading a value."""

from functools import cache
from random import Random
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from eaglebench.data.synthetic.drawing import COLOURS, Mark, Picture, Question, box_regions

DPI = 100
HIGHEST = 9
VALUE = "="  # before a value that is shown by a height, and not written
TOP = HIGHEST + 0.5  # of the value axis
AXES = (0.13, 0.06, 0.85, 0.9)  # left, bottom, width, height, as fractions of the figure


def draw(rng: Random, canvas: int) -> Picture:
    """A chart of three or four bars with whole values, and a question for each bar and for the tallest."""
    count = rng.randint(3, 4)
    colours = rng.sample(list(COLOURS), count)
    values = [rng.randint(1, HIGHEST) for _ in range(count)]
    surface, axes, empty = empty_chart(canvas)
    surface.restore_region(empty)
    slot = 1 / count
    thickness = rng.uniform(0.55, 0.85) * slot
    marks = []
    for index, (colour, value) in enumerate(zip(colours, values, strict=True)):
        left = (index + 0.5) * slot - thickness / 2
        bar = Rectangle((left, 0), thickness, value, facecolor=[c / 255 for c in COLOURS[colour]])
        bar.set_transform(axes.transData)
        bar.draw(surface.get_renderer())
        x0, x1 = (canvas * (AXES[0] + AXES[2] * x) for x in (left, left + thickness))
        top, bottom = (canvas * (1 - AXES[1] - AXES[3] * y / TOP) for y in (value, 0))
        marks.append(Mark([colour, f"{VALUE}{value}"], (x0, top, x1, bottom)))
    width, height = surface.get_width_height()
    image = Image.frombytes("RGBA", (width, height), bytes(surface.buffer_rgba())).convert("RGB")
    asked = [Question(f"value of {colour}", str(value), "chart") for colour, value in zip(colours, values, strict=True)]
    rng.shuffle(asked)
    if values.count(max(values)) == 1:
        # First: after the values, the answer could be read off the text.
        asked.insert(0, Question("tallest bar", colours[values.index(max(values))], "chart"))
    return Picture(image, asked, marks, box_regions(canvas, marks))


@cache
def empty_chart(canvas: int) -> tuple[FigureCanvasAgg, Axes, Any]:
    """The axes without bars, drawn once for each process: the labels cost fifty times what the bars do."""
    with matplotlib.rc_context({"font.size": canvas / 16, "axes.linewidth": 0.5}):
        figure = Figure(figsize=(canvas / DPI, canvas / DPI), dpi=DPI)
        surface = FigureCanvasAgg(figure)
        axes = figure.add_axes(AXES)
        axes.set(xlim=(0, 1), ylim=(0, TOP), yticks=(0, 3, 6, 9), xticks=())
        axes.tick_params(pad=1, length=1.5)
        axes.grid(axis="y", linewidth=0.4)
        surface.draw()
    return surface, axes, surface.copy_from_bbox(figure.bbox)
