"""GQA, testdev balanced: `testdev_balanced_questions.json` and the images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question."""
    for identity, question in source.json("testdev_balanced_questions.json").items():
        image = source.image(f"{question['imageId']}.jpg")
        yield Record(identity, image, question["question"], [question["answer"]])
