"""AI2D, test: `ai2d_test_ids.csv`, and the folders `questions`, `annotations` and `images`.

For questions about the labels A, B, ..., white boxes with these letters cover the words of the diagram.
"""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import ImageDraw, ImageFont

from eaglebench.data.converters.base import LazyImage, Record, Source, letter
from eaglebench.data.json_records import read_json
from eaglebench.data.open_image import open_image
from eaglebench.data.text_files import read_text
from eaglebench.data.unreadable import name_unreadable

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
FONT_OF_HEIGHT = 0.9  # font size of a letter, relative to the height of its box
LEAST_FONT = 10  # smallest font size, in pixels


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question about a test image; the category is `labels` or `diagram`."""
    test = set(read_text(source.file("ai2d_test_ids.csv")).split())
    for path in source.files("questions/*.json"):
        name = path.name.removesuffix(".json")
        if Path(name).stem not in test:
            continue
        image = path.parent.parent / "images" / name
        words = path.parent.parent / "annotations" / path.name
        for text, question in read_json(path)["questions"].items():
            labelled = question["abcLabel"]
            yield Record(
                question["questionId"],
                LazyImage(name, partial(draw_labels, image, words)) if labelled else image,
                text,
                [letter(question["correctAnswer"])],
                "labels" if labelled else "diagram",
                question["answerTexts"],
            )


def draw_labels(image: Path, annotations: Path) -> bytes:
    """Replace the words of a diagram by their labels, and return it as a PNG.

    Raises:
        UserError: the diagram cannot be read.
    """
    with name_unreadable(f"the image {image}"):
        diagram = open_image(image)
    draw = ImageDraw.Draw(diagram)
    for word in read_json(annotations)["text"].values():
        left, top, right, bottom = word_box(word)
        draw.rectangle((left, top, right, bottom), fill=WHITE, outline=BLACK)
        font = ImageFont.load_default(max(LEAST_FONT, FONT_OF_HEIGHT * (bottom - top)))
        centre = ((left + right) / 2, (top + bottom) / 2)
        draw.text(centre, word["replacementText"], fill=BLACK, font=font, anchor="mm")
    buffer = BytesIO()
    diagram.save(buffer, "PNG")
    return buffer.getvalue()


def word_box(word: dict[str, Any]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of a word in pixels; annotations give two corners or a polygon."""
    points = word["rectangle"] if "rectangle" in word else word["polygon"]
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)
