"""ChartQA: human and augmented questions."""

from tests.helpers.releases import ReleaseFolder, describe


def test_chartqa(release: ReleaseFolder) -> None:
    release.json("test/test_human.json", [{"imgname": "7.png", "query": "How many?", "label": "14"}])
    release.json("test/test_augmented.json", [{"imgname": "7.png", "query": "Which?", "label": "Mali"}])
    release.images("test/png/7.png", "train/png/7.png")
    human, augmented = release.convert("chartqa")
    assert describe(human) == ("human-0", "7.png", "How many?", ("14",), "human")
    assert describe(augmented) == ("augmented-0", "7.png", "Which?", ("Mali",), "augmented")
    assert human.image == (release.folder / "test/png/7.png").resolve()
