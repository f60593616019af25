"""Shuffling images, and the arithmetic of a summary."""

from pathlib import Path

import pytest

from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.answer import Question, questions
from eaglebench.evaluation.score import score_answers, shuffled, stderr, summary


def ask(identity: str, family: str, answer: str = "1", image: bool = True) -> Question:
    return Question(Sample(identity, Path(f"{identity}.png") if image else None, (Turn("q", answer, family),)), 0)


def test_every_turn_is_a_question() -> None:
    sample = Sample("s", None, (Turn("a", "1", "x"), Turn("b", "2")))
    asked = questions([sample])
    assert [(question.turn, question.family, question.reference) for question in asked] == [
        (0, "x", "1"),
        (1, "all", "2"),
    ]


def test_nobody_keeps_their_image_and_families_do_not_mix() -> None:
    asked = [ask(f"{family}{index}", family) for family in "xy" for index in range(7)]
    swapped = shuffled(asked, seed=0)
    for before, after in zip(asked, swapped, strict=True):
        assert after.sample.image != before.sample.image
        assert after.sample.image.name[0] == before.family
        assert (after.sample.id, after.sample.turns) == (before.sample.id, before.sample.turns)
    assert sorted(q.sample.image for q in swapped) == sorted(q.sample.image for q in asked)
    assert shuffled(asked, seed=0) == swapped != shuffled(asked, seed=1)


def test_questions_that_share_an_image_do_not_swap_it_among_themselves() -> None:
    def about(image: str, count: int) -> list[Question]:
        sample = Sample(image, Path(image), tuple(Turn(f"q{turn}", "1", "x") for turn in range(count)))
        return questions([sample])

    asked = about("a.png", 3) + about("b.png", 1)
    assert [question.sample.image.name for question in shuffled(asked, seed=0)] == ["b.png"] * 3 + ["a.png"]


def test_text_only_questions_stay_as_they_are() -> None:
    asked = [ask("a", "x", image=False), ask("b", "x"), ask("c", "x")]
    swapped = shuffled(asked, seed=0)
    assert swapped[0] == asked[0]
    assert [question.sample.image for question in swapped[1:]] == [Path("c.png"), Path("b.png")]


def test_scores_by_family_and_overall() -> None:
    asked = [ask("a", "x"), ask("b", "x"), ask("c", "x"), ask("d", "x"), ask("e", "y")]
    scores = score_answers(asked, ["1", "1", "1", "0", "1.04"], {"y": "relaxed"}, "exact")
    assert scores == [1, 1, 1, 0, 1]
    result = summary(asked, scores, {"shuffled": [1, 0, 0, 0, 0], "trained": [0, 0, 0, 0, 1]})
    x = result["families"]["x"]
    assert x == {"score": 0.75, "blind": 0.25, "stderr": 0.25, "n": 4, "blind_shuffled": 0.25, "blind_trained": 0.0}
    assert result["families"]["y"]["blind"] == 1.0
    overall = result["overall"]
    assert (overall["score"], overall["n"], overall["stderr"]) == (0.875, 5, 0.125)
    assert (overall["blind_shuffled"], overall["blind_trained"], overall["blind"]) == (0.125, 0.5, 0.5)


def test_the_standard_error_of_the_mean() -> None:
    assert stderr([1, 1, 1, 0]) == pytest.approx(0.25)
    assert stderr([1.0] * 5) == 0
