"""SEED-Bench, images: `SEED-Bench.json` and the images, whose names have no suffix."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question about an image, not about a video; the category is the question type."""
    bench = source.json("SEED-Bench.json")
    types = {number: name for name, number in bench["question_type"].items()}
    for question in bench["questions"]:
        if question["data_type"] == "image":
            yield Record(
                str(question["question_id"]),
                source.image(question["data_id"]),
                question["question"],
                [question["answer"]],
                types[question["question_type_id"]],
                [question[f"choice_{letter}"] for letter in "abcd"],
            )
