"""RealWorldQA: `annotations.jsonl` and the images. The questions include options and instructions."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question."""
    for index, question in enumerate(source.lines("annotations.jsonl")):
        yield Record(str(index), source.image(question["image"]), question["question"], [str(question["answer"])])
