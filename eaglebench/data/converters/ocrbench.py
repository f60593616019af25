"""OCRBench: `OCRBench.json` and the images, in one folder per data set."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question; the category is its type, which decides how it is scored."""
    for index, question in enumerate(source.json("OCRBench.json")):
        answers = question["answers"]
        yield Record(
            str(question.get("id", index)),
            source.image(question["image_path"]),
            question["question"],
            [answers] if isinstance(answers, str) else answers,
            question["type"],
        )
