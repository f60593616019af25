"""Listing questions, and shuffling their images."""

from pathlib import Path

from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.questions import EvalQuestion, list_questions, shuffle_images, shuffle_questions
from tests.helpers.questions import make_question


def test_every_turn_is_a_question() -> None:
    sample = Sample("s", None, (Turn("a", "1", "x"), Turn("b", "2")))
    questions = list_questions([sample])
    assert [(question.turn, question.family, question.reference) for question in questions] == [
        (0, "x", "1"),
        (1, "all", "2"),
    ]


def test_nobody_keeps_their_image_and_families_do_not_mix() -> None:
    questions = [make_question(f"{family}{index}", family) for family in "xy" for index in range(7)]
    shuffled = shuffle_images(questions, seed=0)
    for before, after in zip(questions, shuffled, strict=True):
        assert after.sample.image != before.sample.image
        assert after.sample.image.name[0] == before.family
        assert (after.sample.id, after.sample.turns) == (before.sample.id, before.sample.turns)
    assert sorted(q.sample.image for q in shuffled) == sorted(q.sample.image for q in questions)
    assert shuffle_images(questions, seed=0) == shuffled != shuffle_images(questions, seed=1)


def test_questions_that_share_an_image_do_not_swap_it_among_themselves() -> None:
    def about(image: str, count: int) -> list[EvalQuestion]:
        sample = Sample(image, Path(image), tuple(Turn(f"q{turn}", "1", "x") for turn in range(count)))
        return list_questions([sample])

    questions = about("a.png", 3) + about("b.png", 1)
    assert [question.sample.image.name for question in shuffle_images(questions, seed=0)] == ["b.png"] * 3 + ["a.png"]


def test_text_only_questions_stay_as_they_are() -> None:
    questions = [make_question("a", "x", image=False), make_question("b", "x"), make_question("c", "x")]
    shuffled = shuffle_images(questions, seed=0)
    assert shuffled[0] == questions[0]
    assert [question.sample.image for question in shuffled[1:]] == [Path("c.png"), Path("b.png")]


def test_everybody_is_asked_another_question_of_their_family() -> None:
    def ask(identity: str, family: str, *texts: str) -> EvalQuestion:
        turns = tuple(Turn(text, "1", family) for text in texts)
        return EvalQuestion(Sample(identity, Path(identity), turns), len(turns) - 1)

    questions = [ask(f"{family}{index}", family, "earlier", "abbcc"[index]) for family in "xy" for index in range(5)]
    shuffled = shuffle_questions(questions, seed=0)
    for before, after in zip(questions, shuffled, strict=True):
        assert after is not None
        assert after.sample.turns[0] == before.sample.turns[0]  # the turn before the one that is asked
        assert after.sample.turns[1].question != before.sample.turns[1].question
        assert (after.name, after.sample.image, after.references) == (before.name, before.sample.image, ("1",))
    assert shuffled == shuffle_questions(questions, seed=0)
    # Where most questions are the same, there are too few others.
    same = [ask(str(index), "x", "aaab"[index]) for index in range(4)]
    assert shuffle_questions(same, seed=0) == [None] * 4
