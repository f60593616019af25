"""TextVQA, val: `TextVQA_0.5.1_val.json` and the images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question, with the answers of ten annotators."""
    for question in source.json("TextVQA_0.5.1_val.json")["data"]:
        image = source.image(f"{question['image_id']}.jpg")
        yield Record(str(question["question_id"]), image, question["question"], question["answers"])
