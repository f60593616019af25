"""MMBench, English dev: its TSV, with the images in base64."""

import base64
import csv
import sys
from collections.abc import Iterator
from functools import partial

from eaglebench.data.converters.base import LazyImage, Record, Source

LETTERS = "ABCD"


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per row; a hint precedes the question, and the category is the row's."""
    csv.field_size_limit(sys.maxsize)  # an image is one field
    with source.file("*dev_en*.tsv").open(encoding="utf-8", newline="") as file:
        images: dict[str, str] = {}
        for row in csv.DictReader(file, delimiter="\t"):
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
