"""DocVQA and InfographicVQA."""

import pytest

from tests.helpers.releases import ReleaseFolder, describe


@pytest.mark.parametrize(
    ("name", "file", "image"),
    [
        ("docvqa", "val_v1.0_withQT.json", {"image": "documents/p_1.png"}),
        ("docvqa", "val_v1.0.json", {"image": "documents/p_1.png"}),
        ("infovqa", "infographicsVQA_val_v1.0_withQT.json", {"image_local_name": "p_1.png"}),
    ],
)
def test_docvqa_and_infovqa(release: ReleaseFolder, name: str, file: str, image: dict[str, str]) -> None:
    question = {"questionId": 337, "question": "Which date?", "answers": ["8 May", "May 8"], "docId": 2, **image}
    release.json(file, {"dataset_name": "x", "dataset_split": "val", "data": [question]})
    release.images("documents/p_1.png")
    (sample,) = release.convert(name)
    assert describe(sample) == ("337", "p_1.png", "Which date?", ("8 May", "May 8"), None)
