"""SEED-Bench: questions about images only."""

from tests.helpers.releases import ReleaseFolder, describe


def test_seed(release: ReleaseFolder) -> None:
    options = {f"choice_{letter}": text for letter, text in zip("abcd", ["one", "two", "three", "four"], strict=True)}
    image = {
        "question_id": "9",
        "data_type": "image",
        "data_id": "15_20",
        "question": "How many?",
        "answer": "C",
        "question_type_id": 5,
    }
    video = image | {"question_id": "10", "data_type": "video", "data_id": "v.mp4"}
    release.json(
        "SEED-Bench.json", {"question_type": {"Instances Counting": 5}, "questions": [image | options, video | options]}
    )
    release.images("SEED-Bench-image/15_20")
    (sample,) = release.convert("seed")
    asked = "How many?\nA. one\nB. two\nC. three\nD. four"
    assert describe(sample) == ("9", "15_20", asked, ("C", "three"), "Instances Counting")
