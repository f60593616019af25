"""OCRBench: `OCRBench.json` and the images in the folders of its data sets."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """One record a question, whose category is the type that decides how it is scored."""
    for index, question in enumerate(source.json("OCRBench.json")):
        answers = question["answers"]
        yield Record(
            str(question.get("id", index)),
            source.image(question["image_path"]),
            question["question"],
            [answers] if isinstance(answers, str) else answers,
            question["type"],
        )
