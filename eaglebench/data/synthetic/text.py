"""A sign with small words in different colours; tests reading."""

from random import Random

from PIL import Image, ImageDraw

from eaglebench.data.synthetic.drawing import (
    COLOURS,
    FONTS,
    Scene,
    SceneQuestion,
    draw_text,
    load_font,
    measure_text,
    random_background,
    regions_from_boxes,
)

WORDS = ("CAT", "DOG", "SUN", "BOX", "KEY", "MAP", "TEA", "ICE", "JAM", "OWL", "PEN", "VAN", "WEB", "ZOO", "FIG", "HUT")
SIDE = 4  # number of lines on a sign, and of columns that words start in
MOST = 4  # words on one sign
SMALLEST, LARGEST = 0.1, 0.13  # font size, as a fraction of the canvas
JITTER = 0.04  # largest offset of a word from its line and column, as a fraction of the canvas


def draw(rng: Random, canvas: int) -> Scene:
    """Draw a sign with two to four words, one a line, and ask for each of them; `canvas` pixels a side."""
    image = Image.new("RGB", (canvas, canvas), random_background(rng))
    pen = ImageDraw.Draw(image)
    lines = sorted(rng.sample(range(SIDE), rng.randint(2, MOST)))
    questions: list[SceneQuestion] = []
    marks = []
    # No word and no colour twice, so that every word can be asked for.
    for line, word, colour in zip(
        lines, rng.sample(WORDS, len(lines)), rng.sample(list(COLOURS), len(lines)), strict=True
    ):
        font = load_font(rng.choice(FONTS), round(canvas * rng.uniform(SMALLEST, LARGEST)))
        _, top, _, bottom = measure_text(word, font)
        x = (rng.randrange(SIDE - 1) / SIDE + rng.uniform(0, JITTER)) * canvas
        y = (line + 0.5) / SIDE * canvas - (bottom - top) / 2 + rng.uniform(-JITTER, JITTER) * canvas
        marks.append(draw_text(pen, (x, y), word, font, COLOURS[colour], [word, colour]))
        questions.append(SceneQuestion(f"What is written in {colour}?", word, "text", "word"))
    rng.shuffle(questions)
    return Scene(image, questions, marks, regions_from_boxes(canvas, marks))
