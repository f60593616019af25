"""A small form with one box for each digit: look-up in a document."""

from dataclasses import replace
from random import Random

from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import FONTS, Picture, Question, box_regions, font, ink, paper, written

FIELDS = ("total", "date", "name", "code", "unit", "page")
ROWS = 4
COLUMNS = 4  # the last two hold a digit each
LOOSE = 0.04  # how far writing may be off its place, of the side
INK, LINE = (10, 10, 30), (150, 150, 160)


def draw(rng: Random, canvas: int) -> Picture:
    """A form of two to four rows, key on the left and a number of two digits on the right, and a question for each row."""
    image = Image.new("RGB", (canvas, canvas), paper(rng))
    pen = ImageDraw.Draw(image)
    rows = sorted(rng.sample(range(ROWS), rng.randint(2, ROWS)))
    face = font(rng.choice(FONTS), round(canvas * rng.uniform(0.1, 0.13)))
    height, width = canvas / ROWS, canvas / COLUMNS
    asked: list[Question] = []
    marks = []

    def write(string: str, left: float, row: int, field: str | None = None) -> None:
        """Roughly in the middle of a row, roughly at `left` from the left edge."""
        _, top, _, bottom = ink(string, face)
        x, y = left + rng.uniform(0, LOOSE) * canvas, (row + 0.5) * height - (bottom - top) / 2
        mark = written(pen, (x, y + rng.uniform(-LOOSE, LOOSE) * canvas), string, face, INK, [string])
        marks.append(replace(mark, field=field))

    for row, key in zip(rows, rng.sample(FIELDS, len(rows)), strict=True):
        value = str(rng.randint(10, 99))
        write(key, 0.02 * canvas, row)
        for column, digit in zip((COLUMNS - 2, COLUMNS - 1), value, strict=True):
            x, y = column * width, row * height
            pen.rectangle((x + 2, y + 2, x + width - 3, y + height - 3), outline=LINE)
            write(digit, x + 0.25 * width, row, key)
        asked.append(Question(f"field {key}", value, "document"))
    rng.shuffle(asked)
    return Picture(image, asked, marks, box_regions(canvas, marks))
