"""GQA: the image stays where it was."""

from tests.helpers.releases import ReleaseFolder, describe


def test_gqa(release: ReleaseFolder) -> None:
    question = {"question": "Is it red?", "imageId": "n1", "answer": "yes", "fullAnswer": "Yes, it is red."}
    release.json("questions/testdev_balanced_questions.json", {"201": question})
    release.images("images/n1.jpg", "images/n2.jpg")
    (sample,) = release.convert("gqa")
    assert describe(sample) == ("201", "n1.jpg", "Is it red?", ("yes",), None)
    assert sample.image == (release.folder / "images/n1.jpg").resolve()  # where it was, not a copy
