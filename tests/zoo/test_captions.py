"""Captions, descriptions and transcripts say what a scene shows."""

from random import Random

from eaglebench.data.synthetic.drawing import Mark
from eaglebench.data.synthetic.engine import KINDS
from eaglebench.zoo.captions import write_caption, write_description
from eaglebench.zoo.readout import find_key
from eaglebench.zoo.transcription import NO_TEXT, write_transcript
from tests.helpers.pretexts import blank_scene


def test_a_scene_in_words() -> None:
    form = blank_scene(*(Mark([label], (0, 0, 9, 9)) for label in ("total", "4", "7", "date", "1", "0")))
    assert write_transcript(form) == "total 47\ndate 10"
    board = KINDS["shapes"](Random(1), 128)
    shape, colour = board.marks[0].labels
    assert f"{colour} {shape}" in write_caption(board, Random(0)).split(", ")
    assert len(write_caption(board, Random(0)).split(", ")) == len(board.marks)
    assert write_transcript(board) == NO_TEXT


def test_a_description_answers_every_question_about_positions_and_areas() -> None:
    for seed in range(30):
        board = KINDS["shapes"](Random(seed), 128)
        phrases = write_description(board, Random(0)).split(", ")
        for question in board.questions:
            if question.family == "position":
                key = find_key(question)
                assert [phrase.split()[-1] for phrase in phrases if key in phrase.split()] == [question.answer]
        pile = KINDS["pile"](Random(seed), 128)
        phrases = write_description(pile, Random(0)).split(", ")
        assert all(f"{question.text} {question.answer}" in phrases for question in pile.questions)
