"""ScienceQA-IMG: test problems with an image, with their hints."""

from tests.helpers.releases import ReleaseFolder, describe


def test_scienceqa(release: ReleaseFolder) -> None:
    problem = {
        "question": "Which?",
        "choices": ["Peru", "Chad"],
        "answer": 1,
        "hint": "A map.",
        "image": "image.png",
        "subject": "social science",
    }
    problems = {"4": problem, "5": problem | {"image": None}, "6": problem, "7": problem | {"hint": ""}}
    release.json("problems.json", problems)
    release.json("pid_splits.json", {"train": ["6"], "test": ["4", "5", "7"]})
    release.images("images/test/4/image.png", "images/test/7/image.png", "images/train/4/image.png")
    first, second = release.convert("scienceqa")
    assert describe(first) == (
        "4",
        "image.png",
        "Context: A map.\nWhich?\nA. Peru\nB. Chad",
        ("B", "Chad"),
        "social science",
    )
    assert first.image == (release.folder / "images/test/4/image.png").resolve()
    assert second.turns[0].question == "Which?\nA. Peru\nB. Chad"
