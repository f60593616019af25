"""MMVP: `Questions.csv` and the images 1.jpg to 300.jpg; two consecutive ones form a pair."""

import csv
import re
from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source

OPTION = re.compile(r"\(([a-z])\)\s*(.*?)(?=\s*\([a-z]\)|$)")


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question; the category is its pair."""
    with source.file("Questions.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            number = int(row["Index"])
            yield Record(
                row["Index"],
                source.image(f"{number}.jpg"),
                row["Question"],
                [row["Correct Answer"].strip("() ").upper()],
                f"pair {(number + 1) // 2}",
                [text for _, text in OPTION.findall(row["Options"])],
            )
