"""MMMU, validation: its Parquet files, one or more for each subject, with the images in them. They are read with pyarrow."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any

from PIL import Image

from eaglebench.data.converters.base import Picture, Record, Source
from eaglebench.utils.errors import UserError

MOST_IMAGES = 7  # of one question
GAP = 16  # pixels between two images


def convert(source: Source) -> Iterator[Record]:
    """One record a question, with its subject as the category. `<image 1>` and so on stay in the text: a sample has one image, where those
    of a question stand side by side in that order."""
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
                Picture(f"{row['id']}.png", partial(side_by_side, images)) if images else None,
                row["question"],
                [row["answer"]] if options else open_answers(row["answer"]),
                subject(row),
                options,
            )


def open_answers(answer: str) -> list[str]:
    """The answers that count, of which some questions list several."""
    return [str(one) for one in ast.literal_eval(answer)] if answer.startswith("[") else [answer]


def subject(row: Mapping[str, Any]) -> str:
    """The subject, which is the middle of an id such as validation_Computer_Science_12."""
    _, _, rest = row["id"].partition("_")
    return str(rest.rpartition("_")[0])


def side_by_side(images: Sequence[bytes]) -> bytes:
    """A PNG of all images from left to right, on white, at their own sizes."""
    opened = [Image.open(BytesIO(image)).convert("RGB") for image in images]
    width = sum(image.width for image in opened) + GAP * (len(opened) - 1)
    together = Image.new("RGB", (width, max(image.height for image in opened)), "white")
    left = 0
    for image in opened:
        together.paste(image, (left, 0))
        left += image.width + GAP
    buffer = BytesIO()
    together.save(buffer, "PNG")
    return buffer.getvalue()
