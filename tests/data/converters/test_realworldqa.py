"""RealWorldQA: options are part of the question."""

from tests.helpers.releases import ReleaseFolder, describe


def test_realworldqa(release: ReleaseFolder) -> None:
    release.lines(
        "annotations.jsonl",
        {"image": "0.webp", "question": "Which?\nA. left\nB. right\nJust the letter.", "answer": "B"},
    )
    release.images("images/0.webp")
    (sample,) = release.convert("realworldqa")
    assert describe(sample) == ("0", "0.webp", "Which?\nA. left\nB. right\nJust the letter.", ("B",), None)
