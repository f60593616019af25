"""A small form with one box for each digit: look-up in a document."""

from random import Random

from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import FONTS, Picture, Question, box_regions, font, paper, written

FIELDS = ("total", "date", "name", "code", "unit", "page")
ROWS = 4
COLUMNS = 4  # the last two hold a digit each
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
    for row, key in zip(rows, rng.sample(FIELDS, len(rows)), strict=True):
        value = str(rng.randint(10, 99))
        y = row * height
        left, top, right, bottom = pen.textbbox((0, 0), key, font=face)
        at = (rng.uniform(1, max(2 * width - (right - left) - 2, 1)), y + rng.uniform(2, height - (bottom - top) - 2))
        marks.append(written(pen, at, key, face, INK, [key]))
        for column, digit in zip((COLUMNS - 2, COLUMNS - 1), value, strict=True):
            x = column * width
            pen.rectangle((x + 2, y + 2, x + width - 3, y + height - 3), outline=LINE)
            left, top, right, bottom = pen.textbbox((0, 0), digit, font=face)
            room_x, room_y = width - (right - left) - 10, height - (bottom - top) - 10
            at = (x + 5 + rng.uniform(0, max(room_x, 0)), y + 5 + rng.uniform(0, max(room_y, 0)))
            marks.append(written(pen, at, digit, face, INK, [digit]))
        asked.append(Question(f"field {key}", value, "document"))
    rng.shuffle(asked)
    return Picture(image, asked, marks, box_regions(canvas, marks))
