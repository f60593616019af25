"""A small form with one box for each digit; tests looking up a value in a document."""

from dataclasses import replace
from random import Random

from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import (
    FONTS,
    Scene,
    SceneQuestion,
    draw_text,
    load_font,
    measure_text,
    random_background,
    regions_from_boxes,
)

FIELDS = ("total", "date", "name", "code", "unit", "page")
ROWS = 4
COLUMNS = 4  # the last two hold one digit each
JITTER = 0.04  # largest offset of a text from its position, as a fraction of the canvas
INK, LINE = (10, 10, 30), (150, 150, 160)


def draw(rng: Random, canvas: int) -> Scene:
    """Draw a form of two to four rows, each a field name and a number of two digits, and ask for each number.

    The canvas has `canvas` pixels a side.
    """
    image = Image.new("RGB", (canvas, canvas), random_background(rng))
    pen = ImageDraw.Draw(image)
    rows = sorted(rng.sample(range(ROWS), rng.randint(2, ROWS)))
    font = load_font(rng.choice(FONTS), round(canvas * rng.uniform(0.1, 0.13)))
    height, width = canvas / ROWS, canvas / COLUMNS
    questions: list[SceneQuestion] = []
    marks = []

    def write(text: str, left: float, row: int, field: str | None = None) -> None:
        """Draw a text near the middle of a row, near `left` pixels from the left edge."""
        _, top, _, bottom = measure_text(text, font)
        x, y = left + rng.uniform(0, JITTER) * canvas, (row + 0.5) * height - (bottom - top) / 2
        mark = draw_text(pen, (x, y + rng.uniform(-JITTER, JITTER) * canvas), text, font, INK, [text])
        marks.append(replace(mark, field=field))

    for row, key in zip(rows, rng.sample(FIELDS, len(rows)), strict=True):
        value = str(rng.randint(10, 99))
        write(key, 0.02 * canvas, row)
        for column, digit in zip((COLUMNS - 2, COLUMNS - 1), value, strict=True):
            x, y = column * width, row * height
            pen.rectangle((x + 2, y + 2, x + width - 3, y + height - 3), outline=LINE)
            write(digit, x + 0.25 * width, row, key)
        questions.append(SceneQuestion(f"What is the {key}?", value, "document", "number"))
    rng.shuffle(questions)
    return Scene(image, questions, marks, regions_from_boxes(canvas, marks))
