"""VQAv2: questions joined with their annotations."""

from tests.helpers.releases import ReleaseFolder, describe


def test_vqav2(release: ReleaseFolder) -> None:
    release.json(
        "v2_OpenEnded_mscoco_val2014_questions.json",
        {"questions": [{"image_id": 42, "question": "Where?", "question_id": 420}]},
    )
    note = {
        "question_id": 420,
        "image_id": 42,
        "answer_type": "other",
        "answers": [{"answer": "net", "answer_id": n} for n in range(10)],
    }
    release.json("v2_mscoco_val2014_annotations.json", {"annotations": [note]})
    release.images("val2014/COCO_val2014_000000000042.jpg")
    (sample,) = release.convert("vqav2")
    assert describe(sample) == ("420", "COCO_val2014_000000000042.jpg", "Where?", ("net",) * 10, "other")
