"""The tiny tokenizer encodes any text, and its file is what its training produces."""

import json

import pytest

from eaglebench.data.synthetic.shapes import PLACES
from eaglebench.language.tokenizer import FILE, collect_words, tiny_tokenizer, train_tokenizer, word_id


def test_the_shipped_file_is_what_training_gives() -> None:
    assert json.loads(train_tokenizer().to_str()) == json.loads(FILE.read_text())


@pytest.mark.parametrize("text", ["colour of the circle", "427", "héllo wörld ✓", "  two  spaces\n", "b3"])
def test_any_text_survives(text: str) -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_words_of_the_world_are_single_tokens_and_digits_stay_apart() -> None:
    tokenizer = tiny_tokenizer()
    words = collect_words()
    for word in words:
        assert len(tokenizer(word)["input_ids"]) == len(tokenizer(f" {word}")["input_ids"]) == 1
    assert {"What", "triangle", "total", "CAT", *PLACES} <= words
    assert len(tokenizer("What is the total?")["input_ids"]) == 5
    assert len(tokenizer("427")["input_ids"]) == 3
    assert len(tokenizer("d5, bad3, a12")["input_ids"]) > 8  # no places


def test_the_token_of_a_word_is_the_one_that_a_question_names_it_by() -> None:
    tokenizer = tiny_tokenizer()
    for word in ("total", "star", "red", "HUT"):
        assert word_id(tokenizer, word) in tokenizer(f"What is the {word}?")["input_ids"]
        assert tokenizer.decode([word_id(tokenizer, word)]) == f" {word}"
    assert [word_id(tokenizer, digit) for digit in "47"] == tokenizer("47")["input_ids"]
