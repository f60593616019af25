"""MMBench, English dev: its TSV, with the images in base64."""

import base64
import csv
import sys
from collections.abc import Iterator
from functools import partial

from eaglebench.data.converters.base import Picture, Record, Source

LETTERS = "ABCD"


def convert(source: Source) -> Iterator[Record]:
    """One record a row, its hint before the question."""
    csv.field_size_limit(sys.maxsize)  # an image is one field
    with source.file("*dev_en*.tsv").open(encoding="utf-8", newline="") as file:
        images: dict[str, str] = {}
        for row in csv.DictReader(file, delimiter="\t"):
            # A number instead of an image is the index of a row that has the image.
            image = row["image"] if row["image"] in images else row["index"]
            images.setdefault(image, row["image"])
            hint = f"{row['hint']}\n" if row["hint"] else ""
            yield Record(
                row["index"],
                Picture(f"{image}.jpg", partial(base64.b64decode, images[image])),
                hint + row["question"],
                [row["answer"]],
                row["category"],
                [row[letter] for letter in LETTERS if row[letter]],
            )
