"""OCRBench: one or several answers, and the type."""

from tests.helpers.releases import ReleaseFolder, describe


def test_ocrbench(release: ReleaseFolder) -> None:
    formula = "Handwritten Mathematical Expression Recognition"
    questions = [
        {
            "id": 0,
            "dataset_name": "IIIT5K",
            "image_path": "IIIT5K/test/1.png",
            "question": "what?",
            "answers": "CENTRE",
            "type": "Regular Text Recognition",
        },
        {
            "id": 1,
            "dataset_name": "HME100k",
            "image_path": "HME100k/test/1.png",
            "question": "latex",
            "answers": ["x + 2"],
            "type": formula,
        },
    ]
    release.json("OCRBench/OCRBench.json", questions)
    release.images("IIIT5K/test/1.png", "HME100k/test/1.png")
    first, second = release.convert("ocrbench")
    assert describe(first) == ("0", "1.png", "what?", ("CENTRE",), "Regular Text Recognition")
    assert describe(second) == ("1", "1.png", "latex", ("x + 2",), formula)
    assert first.image != second.image
