"""MMMU, validation: Parquet files with their images, one or more per subject; pyarrow reads them."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any

from PIL import Image

from eaglebench.data.converters.base import LazyImage, Record, Source
from eaglebench.data.open_image import MAX_PIXELS, open_image
from eaglebench.data.unreadable import name_unreadable
from eaglebench.utils.errors import UserError

MOST_IMAGES = 7  # per question
GAP = 16  # pixels between two images


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question; the category is the subject.

    A sample has one image, so the images of a question are put side by side in their order. `<image 1>` and so on stay
    in the text.

    Raises:
        UserError: pyarrow is not installed.
    """
    try:
        from pyarrow.parquet import read_table
    except ModuleNotFoundError as error:
        raise UserError("MMMU comes as Parquet files: pip install 'eaglebench[parquet]' reads them.") from error
    for path in source.files("*validation-*.parquet"):
        for row in read_table(path).to_pylist():
            images = [image["bytes"] for image in (row[f"image_{place + 1}"] for place in range(MOST_IMAGES)) if image]
            options = ast.literal_eval(row["options"])
            yield Record(
                row["id"],
                LazyImage(f"{row['id']}.png", partial(join_images, row["id"], images)) if images else None,
                row["question"],
                [row["answer"]] if options else parse_answers(row["answer"]),
                parse_subject(row),
                options,
            )


def parse_answers(answer: str) -> list[str]:
    """The accepted answers of a question without options; some list several as a Python literal."""
    return [str(one) for one in ast.literal_eval(answer)] if answer.startswith("[") else [answer]


def parse_subject(row: Mapping[str, Any]) -> str:
    """The subject, from the middle of an id such as `validation_Computer_Science_12`."""
    _, _, rest = row["id"].partition("_")
    return str(rest.rpartition("_")[0])


def join_images(question: str, images: Sequence[bytes]) -> bytes:
    """Put images side by side from left to right, on white and at their own sizes, and return a PNG.

    Args:
        question: its id, for messages.
        images: the bytes of the question's image files.

    Raises:
        UserError: an image cannot be read, or together they would be too large.
    """
    with name_unreadable(f"an image of {question}"):
        opened = [open_image(image) for image in images]
    width = sum(image.width for image in opened) + GAP * (len(opened) - 1)
    height = max(image.height for image in opened)
    if width * height > MAX_PIXELS:
        raise UserError(f"the images of {question} have {width:,} x {height:,} pixels side by side: shrink them.")
    together = Image.new("RGB", (width, height), "white")
    left = 0
    for image in opened:
        together.paste(image, (left, 0))
        left += image.width + GAP
    buffer = BytesIO()
    together.save(buffer, "PNG")
    return buffer.getvalue()
