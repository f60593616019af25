"""A bar chart drawn by matplotlib; tests reading a value."""

from functools import cache
from random import Random
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from eaglebench.data.synthetic.drawing import COLOURS, Mark, Scene, SceneQuestion, regions_from_boxes

DPI = 100
HIGHEST = 9
VALUE = "="  # prefix of a label whose value is shown by a height instead of text
TOP = HIGHEST + 0.5  # upper end of the value axis
AXES = (0.13, 0.06, 0.85, 0.9)  # left, bottom, width, height, as fractions of the figure


def draw(rng: Random, canvas: int) -> Scene:
    """Draw three or four bars with whole values, and ask for each value and for the highest bar.

    The canvas has `canvas` pixels a side.
    """
    count = rng.randint(3, 4)
    colours = rng.sample(list(COLOURS), count)
    values = [rng.randint(1, HIGHEST) for _ in range(count)]
    surface, axes, empty = draw_empty_chart(canvas)
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
    questions = [
        SceneQuestion(f"How high is the {colour} bar?", str(value), "chart", "height")
        for colour, value in zip(colours, values, strict=True)
    ]
    rng.shuffle(questions)
    if values.count(max(values)) == 1:
        # First: after the values, the answer would follow from the text alone.
        questions.insert(
            0, SceneQuestion("Which bar is the highest?", colours[values.index(max(values))], "chart", "highest")
        )
    return Scene(image, questions, marks, regions_from_boxes(canvas, marks))


@cache
def draw_empty_chart(canvas: int) -> tuple[FigureCanvasAgg, Axes, Any]:
    """Draw the axes without bars, once per process: the labels take fifty times as long as the bars.

    Returns:
        The canvas, its axes, and a copy of its pixels to restore.
    """
    with matplotlib.rc_context({"font.size": canvas / 16, "axes.linewidth": 0.5}):
        figure = Figure(figsize=(canvas / DPI, canvas / DPI), dpi=DPI)
        surface = FigureCanvasAgg(figure)
        axes = figure.add_axes(AXES)
        axes.set(xlim=(0, 1), ylim=(0, TOP), yticks=(0, 3, 6, 9), xticks=())
        axes.tick_params(pad=1, length=1.5)
        axes.grid(axis="y", linewidth=0.4)
        surface.draw()
    return surface, axes, surface.copy_from_bbox(figure.bbox)
