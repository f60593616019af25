"""MMVP: `Questions.csv` and the images 1.jpg to 300.jpg; two consecutive ones form a pair."""

import re
from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source

OPTION = re.compile(r"\(([a-z])\)\s*(.*?)(?=\s*\([a-z]\)|$)")


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question; the category is its pair."""
    for row in source.table("Questions.csv"):
        number = int(row["Index"])
        yield Record(
            row["Index"],
            source.image(f"{number}.jpg"),
            row["Question"],
            [row["Correct Answer"].strip("() ").upper()],
            f"pair {(number + 1) // 2}",
            [text for _, text in OPTION.findall(row["Options"])],
        )
