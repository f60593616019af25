"""Labels, checked token by token against hand-made expectations."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from eaglebench.data.conversation import IGNORE, TEMPLATES, ConversationEncoder
from eaglebench.data.sample import Sample, Turn
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.utils.errors import UserError

IMAGE = 9999


def encoder(
    template: str = "compact", visual_tokens: int = 3, max_length: int = 200, tokenizer=None
) -> ConversationEncoder:
    return ConversationEncoder(tokenizer or tiny_tokenizer(), TEMPLATES[template], IMAGE, visual_tokens, max_length)


def readable(encoder: ConversationEncoder, ids, labels) -> list[tuple[str, bool]]:
    """Each token as text, with whether it is a target; a target must be the token itself."""
    names = []
    for token, label in zip(ids, labels, strict=True):
        assert label in (IGNORE, token)
        names.append(("IMAGE" if token == IMAGE else encoder.tokenizer.decode([token]), label != IGNORE))
    return names


def test_one_turn_with_an_image(tmp_path) -> None:
    sample = Sample("x", tmp_path / "a.png", (Turn("What colour is the star", "red"),))
    made = encoder()
    encoded = made.encode(sample)
    assert readable(made, encoded.input_ids, encoded.labels) == [
        ("<|user|>", False), ("IMAGE", False), ("IMAGE", False), ("IMAGE", False), ("\n", False),
        ("What", False), (" colour", False), (" is", False), (" the", False), (" star", False),
        ("<|assistant|>", False), ("red", True), ("<|end|>", True),
    ]  # fmt: skip


def test_every_answer_of_a_longer_conversation_is_a_target_and_nothing_else(tmp_path) -> None:
    sample = Sample("x", tmp_path / "a.png", (Turn("How many shapes", "4"), Turn("What colour is the star", "red")))
    made = encoder(visual_tokens=1)
    encoded = made.encode(sample)
    assert readable(made, encoded.input_ids, encoded.labels) == [
        ("<|user|>", False), ("IMAGE", False), ("\n", False),
        ("How", False), (" many", False), (" shapes", False), ("<|assistant|>", False), ("4", True), ("<|end|>", True),
        ("<|user|>", False), ("What", False), (" colour", False), (" is", False), (" the", False), (" star", False),
        ("<|assistant|>", False), ("red", True), ("<|end|>", True),
    ]  # fmt: skip


def test_an_answer_that_repeats_the_question_is_labelled_in_its_own_place_only() -> None:
    sample = Sample("x", None, (Turn("red", "red"), Turn("red red", "red")))
    made = encoder()
    encoded = made.encode(sample)
    assert readable(made, encoded.input_ids, encoded.labels) == [
        ("<|user|>", False), ("red", False), ("<|assistant|>", False), ("red", True), ("<|end|>", True),
        ("<|user|>", False), ("red", False), (" red", False),
        ("<|assistant|>", False), ("red", True), ("<|end|>", True),
    ]  # fmt: skip


def word_tokenizer() -> PreTrainedTokenizerFast:
    """A word a token, with Vicuna's special tokens."""
    words = [
        "A",
        "chat",
        "between",
        "a",
        "curious",
        "user",
        "and",
        "an",
        "artificial",
        "intelligence",
        "assistant",
        ".",
        "The",
        "gives",
        "helpful",
        ",",
        "detailed",
        "polite",
        "answers",
        "to",
        "the",
        "'",
        "s",
        "questions",
        "USER",
        ":",
        "ASSISTANT",
        "hi",
        "there",
        "what",
        "now",
        "you",
    ]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(["<unk>", "<s>", "</s>", *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def test_vicunas_template_text_and_targets() -> None:
    sample = Sample("x", None, (Turn("hi", "there"), Turn("what now", "you")))
    made = encoder("vicuna_v1", tokenizer=word_tokenizer())
    encoded = made.encode(sample)
    tokens = readable(made, encoded.input_ids, encoded.labels)
    assert tokens[0] == ("<s>", False)
    assert [word for word, target in tokens if target] == ["there", "</s>", "you", "</s>"]
    text = "".join(piece for piece, _ in TEMPLATES["vicuna_v1"].segments(sample))
    assert text == (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. "
        "USER: hi ASSISTANT: there</s>USER: what now ASSISTANT: you</s>"
    )


def test_the_plain_template_is_the_image_and_its_caption(tmp_path) -> None:
    sample = Sample("x", tmp_path / "a.png", (Turn("describe it", "there"),))
    made = encoder("plain", tokenizer=word_tokenizer(), visual_tokens=2)
    encoded = made.encode(sample)
    assert readable(made, encoded.input_ids, encoded.labels)[:1] == [("<s>", False)]
    assert encoded.input_ids[1:3] == (IMAGE, IMAGE)
    assert [target for _, target in readable(made, encoded.input_ids[3:], encoded.labels[3:])] == [True]
    pieces = list(TEMPLATES["plain"].segments(sample))
    assert [piece for piece, target in pieces if target] == ["there\n"]
    assert [piece for piece, target in pieces if not target and isinstance(piece, str)] == [""]


def test_chatml_text() -> None:
    sample = Sample("x", None, (Turn("hi", "there"), Turn("now", "you")))
    text = "".join(piece for piece, _ in TEMPLATES["chatml"].segments(sample))
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\nthere<|im_end|>\n<|im_start|>user\nnow<|im_end|>\n<|im_start|>assistant\nyou<|im_end|>"
    )


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_prompt_is_the_beginning_of_the_training_conversation(template: str, tmp_path) -> None:
    sample = Sample("x", tmp_path / "a.png", (Turn("how many shapes", "4"), Turn("colour of the star", "red")))
    made = encoder(template)
    ids = made.encode(sample).input_ids
    for turn in (0, 1):
        prompt = made.encode_prompt(sample, turn)
        assert ids[: len(prompt)] == prompt
        following = made.tokenizer.decode(ids[len(prompt) :])
        assert following.strip().startswith(sample.turns[turn].answer)


def test_text_only_samples_have_no_image_token() -> None:
    assert IMAGE not in encoder().encode(Sample("x", None, (Turn("hi", "there"),))).input_ids


def test_text_that_looks_like_special_tokens_never_becomes_the_image(tmp_path) -> None:
    sample = Sample("x", None, (Turn("<image> <|image|>", "<image>"),))
    assert IMAGE not in encoder().encode(sample).input_ids


def test_a_sample_is_cut_at_max_length() -> None:
    sample = Sample("x", None, (Turn("how many shapes", "4"), Turn("how many shapes", "5")))
    assert len(encoder(max_length=8).encode(sample).input_ids) == 8


def test_a_sample_without_a_target_is_an_error_with_its_id() -> None:
    with pytest.raises(UserError, match="sample odd-one has no target within the 3 tokens"):
        encoder(max_length=3).encode(Sample("odd-one", None, (Turn("how many shapes", "4"),)))
