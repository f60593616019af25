"""MMBench, English dev: its TSV, with the images in base64."""

import base64
from collections.abc import Iterator
from functools import partial

from eaglebench.data.converters.base import LazyImage, Record, Source

LETTERS = "ABCD"


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per row; a hint precedes the question, and the category is the row's."""
    images: dict[str, str] = {}
    for row in source.table("*dev_en*.tsv", delimiter="\t"):
        # Instead of an image, a row may have the index of the row that has it.
        image = row["image"] if row["image"] in images else row["index"]
        images.setdefault(image, row["image"])
        hint = f"{row['hint']}\n" if row["hint"] else ""
        yield Record(
            row["index"],
            LazyImage(f"{image}.jpg", partial(base64.b64decode, images[image])),
            hint + row["question"],
            [row["answer"]],
            row["category"],
            [row[letter] for letter in LETTERS if row[letter]],
        )
