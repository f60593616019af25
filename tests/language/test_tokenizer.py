"""The tiny tokenizer encodes any text, and its file is what its training produces."""

import json

import pytest

from eaglebench.language.tokenizer import FILE, tiny_tokenizer, train_tokenizer


def test_the_shipped_file_is_what_training_gives() -> None:
    assert json.loads(train_tokenizer().to_str()) == json.loads(FILE.read_text())


@pytest.mark.parametrize("text", ["colour of the circle", "427", "héllo wörld ✓", "  two  spaces\n", "b3"])
def test_any_text_survives(text: str) -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_words_of_the_world_are_single_tokens_and_digits_stay_apart() -> None:
    tokenizer = tiny_tokenizer()
    assert len(tokenizer("colour of the circle")["input_ids"]) == 4
    assert len(tokenizer("427")["input_ids"]) == 3
    assert len(tokenizer("CAT")["input_ids"]) == 1
