"""VizWiz-VQA: ten answers and their type."""

from tests.helpers.releases import ReleaseFolder, describe


def test_vizwiz(release: ReleaseFolder) -> None:
    answers = [{"answer": "basil", "answer_confidence": "yes"}] * 9 + [{"answer": "herb", "answer_confidence": "no"}]
    question = {
        "image": "VizWiz_val_7.jpg",
        "question": "What?",
        "answers": answers,
        "answer_type": "other",
        "answerable": 1,
    }
    release.json("Annotations/val.json", [question])
    release.json("Annotations/train.json", [])
    release.images("val/VizWiz_val_7.jpg")
    (sample,) = release.convert("vizwiz")
    assert describe(sample) == ("VizWiz_val_7", "VizWiz_val_7.jpg", "What?", ("basil",) * 9 + ("herb",), "other")
