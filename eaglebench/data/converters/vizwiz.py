"""VizWiz-VQA, val: `val.json` and the images."""

from collections.abc import Iterator
from pathlib import Path

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question, with the answers of ten annotators; the category is the answer type."""
    for question in source.json("val.json"):
        yield Record(
            Path(question["image"]).stem,
            source.image(question["image"]),
            question["question"],
            [answer["answer"] for answer in question["answers"]],
            question["answer_type"],
        )
