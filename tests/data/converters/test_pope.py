"""POPE: three sampling strategies."""

from tests.helpers.releases import ReleaseFolder, describe


def test_pope(release: ReleaseFolder) -> None:
    for category in ("random", "popular", "adversarial"):
        question = {"question_id": 1, "image": "COCO_val2014_7.jpg", "text": "Is there a dog?", "label": "no"}
        release.lines(f"coco/coco_pope_{category}.json", question)
    release.images("val2014/COCO_val2014_7.jpg")
    samples = release.convert("pope")
    assert [describe(sample) for sample in samples] == [
        (f"{category}-1", "COCO_val2014_7.jpg", "Is there a dog?", ("no",), category)
        for category in ("random", "popular", "adversarial")
    ]
