"""DocVQA and InfographicVQA, val: the questions with their answers, and the images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert_docvqa(source: Source) -> Iterator[Record]:
    """Yield one record per question of DocVQA, `val_v1.0*.json`."""
    yield from convert_file(source, "val_v1.0*.json", "image")


def convert_infovqa(source: Source) -> Iterator[Record]:
    """Yield one record per question of InfographicVQA, `infographicsVQA_val_v1.0*.json`."""
    yield from convert_file(source, "infographicsVQA_val_v1.0*.json", "image_local_name")


def convert_file(source: Source, pattern: str, image: str) -> Iterator[Record]:
    """Yield one record per question of the file that matches `pattern`; `image` is the field with the image name."""
    for question in source.json(pattern)["data"]:
        identity = str(question["questionId"])
        yield Record(identity, source.image(question[image]), question["question"], question["answers"])
