"""POPE: `coco_pope_random.json`, `coco_pope_popular.json`, `coco_pope_adversarial.json` and COCO's val2014 images."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source


def convert(source: Source) -> Iterator[Record]:
    """Yield one record per question; the category is the sampling strategy of its object."""
    for category in ("random", "popular", "adversarial"):
        for question in source.lines(f"coco_pope_{category}.json"):
            identity = f"{category}-{question['question_id']}"
            yield Record(identity, source.image(question["image"]), question["text"], [question["label"]], category)
