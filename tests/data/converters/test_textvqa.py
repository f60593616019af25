"""TextVQA: ten answers."""

from tests.helpers.releases import ReleaseFolder, describe


def test_textvqa(release: ReleaseFolder) -> None:
    question = {
        "question_id": 34602,
        "image_id": "003a8",
        "question": "what brand?",
        "answers": ["dakota"] * 9 + [""],
        "set_name": "val",
    }
    release.json("TextVQA_0.5.1_val.json", {"dataset_type": "val", "data": [question]})
    release.images("train_images/003a8.jpg")
    (sample,) = release.convert("textvqa")
    assert describe(sample) == ("34602", "003a8.jpg", "what brand?", ("dakota",) * 9 + ("",), None)
