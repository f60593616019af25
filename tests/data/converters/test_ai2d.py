"""AI2D: labels drawn into the diagram where a question needs them."""

from typing import Any

from PIL import Image

from tests.helpers.releases import SIDE, ReleaseFolder, describe


def test_ai2d_draws_the_labels_that_its_questions_speak_of(release: ReleaseFolder) -> None:
    def question(identity: str, labelled: bool) -> dict[str, Any]:
        return {
            "abcLabel": labelled,
            "answerTexts": ["ears", "nose", "face"],
            "correctAnswer": 1,
            "questionId": identity,
        }

    release.write("ai2d_test_ids.csv", "0\n3\n")
    release.json("questions/0.png.json", {"imageName": "0.png", "questions": {"What is A?": question("0.png-0", True)}})
    release.json(
        "questions/1.png.json", {"imageName": "1.png", "questions": {"Of the training?": question("1.png-0", False)}}
    )
    release.json(
        "questions/3.png.json", {"imageName": "3.png", "questions": {"What eats?": question("3.png-0", False)}}
    )
    word = {"id": "T0", "rectangle": [[8, 8], [40, 32]], "replacementText": "A", "value": "nose"}
    release.json("annotations/0.png.json", {"text": {"T0": word}})
    release.images("images/0.png", "images/1.png", "images/3.png")
    labelled, plain = release.convert("ai2d")
    options = "\nA. ears\nB. nose\nC. face"
    assert describe(labelled) == ("0.png-0", "0.png", "What is A?" + options, ("B", "nose"), "labels")
    assert describe(plain) == ("3.png-0", "3.png", "What eats?" + options, ("B", "nose"), "diagram")
    assert plain.image == (release.folder / "images/3.png").resolve()
    with Image.open(labelled.image) as drawn:
        assert drawn.size == (SIDE, SIDE)
        assert drawn.getpixel((10, 10)) == (255, 255, 255)  # the box
        assert drawn.getpixel((50, 50)) == (255, 0, 0)  # the rest of the diagram
        inside = drawn.crop((9, 9, 40, 32)).convert("L")
    assert inside.getextrema()[0] < 64  # the letter
