"""DocVQA and InfographicVQA, val: the questions with their answers, and the images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def docvqa(source: Source) -> Iterator[Record]:
    """One record a question of `val_v1.0*.json`."""
    yield from records(source, "val_v1.0*.json", "image")


def infovqa(source: Source) -> Iterator[Record]:
    """One record a question of `infographicsVQA_val_v1.0*.json`."""
    yield from records(source, "infographicsVQA_val_v1.0*.json", "image_local_name")


def records(source: Source, pattern: str, image: str) -> Iterator[Record]:
    """One record a question; `image` is the field with its image."""
    for question in source.json(pattern)["data"]:
        identity = str(question["questionId"])
        yield Record(identity, source.image(question[image]), question["question"], question["answers"])
