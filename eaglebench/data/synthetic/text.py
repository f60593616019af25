"""A sign with small words in different colours: reading."""

from random import Random

from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import COLOURS, FONTS, Picture, Question, box_regions, font, ink, paper, written

WORDS = ("CAT", "DOG", "SUN", "BOX", "KEY", "MAP", "TEA", "ICE", "JAM", "OWL", "PEN", "VAN", "WEB", "ZOO", "FIG", "HUT")
SIDE = 4  # lines that a sign has room for, and columns that words begin in
MOST = 4  # words on one sign
SMALLEST, LARGEST = 0.1, 0.13  # size of a font, of the side
LOOSE = 0.04  # how far a word may be off its line and column, of the side


def draw(rng: Random, canvas: int) -> Picture:
    """A sign with two to four words, one to a line, and a question for each."""
    image = Image.new("RGB", (canvas, canvas), paper(rng))
    pen = ImageDraw.Draw(image)
    lines = sorted(rng.sample(range(SIDE), rng.randint(2, MOST)))
    asked: list[Question] = []
    marks = []
    # No word and no colour twice, so that every word can be asked for.
    for line, word, colour in zip(
        lines, rng.sample(WORDS, len(lines)), rng.sample(list(COLOURS), len(lines)), strict=True
    ):
        face = font(rng.choice(FONTS), round(canvas * rng.uniform(SMALLEST, LARGEST)))
        _, top, _, bottom = ink(word, face)
        x = (rng.randrange(SIDE - 1) / SIDE + rng.uniform(0, LOOSE)) * canvas
        y = (line + 0.5) / SIDE * canvas - (bottom - top) / 2 + rng.uniform(-LOOSE, LOOSE) * canvas
        marks.append(written(pen, (x, y), word, face, COLOURS[colour], [word, colour]))
        asked.append(Question(f"word in {colour}", word, "text"))
    rng.shuffle(asked)
    return Picture(image, asked, marks, box_regions(canvas, marks))
