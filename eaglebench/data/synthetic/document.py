"""A small form with labelled fields: look-up in a document."""

from random import Random

from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import FONTS, Mark, Picture, Question, font, paper, short_string, written

FIELDS = ("total", "date", "name", "code", "unit", "page")
ROWS = 3


def draw(rng: Random, canvas: int) -> Picture:
    """A form of three rows, key on the left and value on the right, and a question for each row."""
    image = Image.new("RGB", (canvas, canvas), paper(rng))
    pen = ImageDraw.Draw(image)
    face = font(rng.choice(FONTS), int(canvas * rng.uniform(0.15, 0.18)))
    height = canvas / ROWS
    asked: list[Question] = []
    marks: list[Mark] = []
    for row, key in enumerate(rng.sample(FIELDS, ROWS)):
        value = short_string(rng)
        _, top, _, bottom = pen.textbbox((0, 0), key, font=face)
        y = row * height + rng.uniform(0.2, 0.8) * (height - (bottom - top))
        pen.text((canvas * 0.03, y - top), key, font=face, fill=(40, 40, 60))
        marks.append(Mark([key], (0, y / canvas, 0.4, (y + bottom - top) / canvas)))
        x = canvas * 0.97 - pen.textlength(value, font=face)
        marks += written(pen, (x, y), value, face, (10, 10, 10), canvas)
        if row:
            pen.line((0, row * height, canvas, row * height), fill=(150, 150, 160))
        asked.append(Question(f"field {key}", value, "document"))
    return Picture(image, asked, marks)
