"""ChartQA, test: `test_human.json`, `test_augmented.json` and the images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question; the category is `human` or `augmented`, its origin."""
    for category in ("human", "augmented"):
        for index, question in enumerate(source.json(f"test_{category}.json")):
            image = source.image(f"test/png/{question['imgname']}")
            yield Record(f"{category}-{index}", image, question["query"], [str(question["label"])], category)
