"""VQA accuracy: the mean over ten people of min(n / 3, 1), n of the other nine having given the answer."""

import pytest

from eaglebench.evaluation.metrics.vqa import normalise, normalise_words, vqa, vqa_words
from eaglebench.utils.errors import UserError


@pytest.mark.parametrize(
    ("given_by", "score"),
    [
        (0, 0.0),
        (1, 0.3),  # nine of ten leave one agreement: 9 * 1/3 / 10
        (2, 0.6),  # (8 * 2/3 + 2 * 1/3) / 10
        (3, 0.9),  # (7 * 1 + 3 * 2/3) / 10
        (4, 1.0),
        (10, 1.0),
    ],
)
def test_agreement_of_people(given_by: int, score: float) -> None:
    people = ["Cat."] * given_by + ["dog"] * (10 - given_by)
    assert vqa("a cat", people) == pytest.approx(score)


def test_a_tie_of_two_answers_gives_both_their_score() -> None:
    people = ["yes"] * 5 + ["no"] * 5
    assert vqa("yes", people) == vqa("no", people) == 1.0


def test_an_empty_answer_scores_nothing() -> None:
    assert vqa("", ["cat"] * 10) == 0.0


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The cat", "cat"),
        ("an apple a day", "apple day"),
        ("Two", "2"),
        ("none", "0"),
        ("ten", "10"),
        ("eleven", "eleven"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("U.S.A.", "usa"),
        ("t-shirt", "t shirt"),  # a sign between letters parts them
        ("black - white", "black white"),  # one beside a space goes
        ("red, white", "red white"),
        ("1,000 t-shirts", "1000 tshirts"),  # a comma in a number makes every sign go
        ("yes!", "yes"),
        ("dont", "don't"),
        ("don't", "don't"),
        ("couldntve", "couldntve"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("yall'd've", "y'all'd've"),
        ("ow's'at", "'ow's'at"),
        ("oclock", "o'clock"),
        ("im", "im"),
        ("somebody'd", "somebodyd"),  # the official list turns this one round
        ("somebodyd", "somebodyd"),
        ("1,,000 t-shirts", "1000 tshirts"),
        ("line\nend\ttab", "line end tab"),
        ("a,\rb", "b"),  # a carriage return is no space, so the comma becomes one
        ("." * 40 + "x", "." * 8 + "x"),  # the official script removes 32 full stops at most
        ("ÉTÉ", "été"),
        ("", ""),
    ],
)
def test_normalisation(text: str, plain: str) -> None:
    assert normalise(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The dog's", "dog 's"),
        ("what?ever", "whatever"),  # where VQAv2 parts it
        ("1,000", "1000"),
        ("red,white", "redwhite"),
        ("U.S.A.", "usa"),
        ("t-shirt", "t shirt"),
        ("It's two", "it 's 2"),
        ("", ""),
    ],
)
def test_normalisation_of_textvqa_and_vizwiz(text: str, plain: str) -> None:
    assert normalise_words(text) == plain


def test_the_two_normalisations_score_differently() -> None:
    assert vqa_words("red,white", ["redwhite"] * 10) == 1.0
    assert vqa("red,white", ["redwhite"] * 10) == 0.0


def test_one_answer_cannot_be_scored() -> None:
    with pytest.raises(UserError, match="ten people"):
        vqa("cat", ["cat"])
