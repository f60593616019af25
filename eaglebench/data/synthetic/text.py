"""One to three short strings in different colours: reading."""

from random import Random

from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import (
    COLOURS,
    FONTS,
    Mark,
    Picture,
    Question,
    font,
    paper,
    short_string,
    written,
)


def draw(rng: Random, canvas: int) -> Picture:
    """A sign with one to three lines and a question for each."""
    image = Image.new("RGB", (canvas, canvas), paper(rng))
    pen = ImageDraw.Draw(image)
    lines = rng.randint(1, 3)
    height = canvas / lines
    asked: list[Question] = []
    marks: list[Mark] = []
    for row, colour in enumerate(rng.sample(list(COLOURS), lines)):
        string = short_string(rng)
        size = int(canvas * rng.uniform(0.25, 0.36 if lines > 1 else 0.45))
        name = rng.choice(FONTS)
        while pen.textlength(string, font=font(name, size)) > canvas * 0.96:
            size -= 1
        face = font(name, size)
        left, top, right, bottom = pen.textbbox((0, 0), string, font=face)
        x = rng.uniform(0, max(canvas - (right - left), 0))
        y = row * height + rng.uniform(0, max(height - (bottom - top), 0))
        marks += written(pen, (x, y), string, face, COLOURS[colour], canvas, [colour])
        asked.append(Question(f"text in {colour}", string, "text"))
    return Picture(image, asked, marks)
