"""VizWiz-VQA, val: `val.json` and the images."""

from collections.abc import Iterator
from pathlib import Path

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """One record a question, with the answers of ten people and the type of the answer as its category."""
    for question in source.json("val.json"):
        yield Record(
            Path(question["image"]).stem,
            source.image(question["image"]),
            question["question"],
            [answer["answer"] for answer in question["answers"]],
            question["answer_type"],
        )
