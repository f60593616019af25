"""MME: two questions an image, in both layouts of its folders."""

import pytest

from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.utils.errors import UserError
from tests.helpers.releases import ReleaseFolder, describe


def test_mme(release: ReleaseFolder) -> None:
    release.write("README.txt", "Read me.")
    for folder, image in (("count", "count/7.jpg"), ("artwork", "artwork/images/7.jpg")):
        text = "count/7.txt" if folder == "count" else "artwork/questions_answers_YN/7.txt"
        release.images(image)
        release.write(text, "Is it one? Please answer yes or no.\tYes\nIs it two? Please answer yes or no.\tNo\n")
    samples = release.convert("mme")
    assert sorted(map(describe, samples)) == [
        (f"{folder}/7-{number}", "7.jpg", question, (answer,), folder)
        for folder in ("artwork", "count")
        for number, (question, answer) in enumerate([("Is it one?", "Yes"), ("Is it two?", "No")])
    ]
    rows = [{"score": 1.0, "meta": sample.turns[0].meta} for sample in samples]
    assert BENCHMARKS["mme"].compute_official_score(rows) == 400.0  # the images of two categories are not taken for one


def test_mme_needs_two_questions_an_image(release: ReleaseFolder) -> None:
    release.images("count/7.jpg")
    release.write("count/7.txt", "Is it one?\tYes\n")
    with pytest.raises(UserError, match="must hold two lines"):
        release.convert("mme")
