"""Token ids of every template, against those of the models' own chat templates and of LLaVA's way to tokenize."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from eaglebench.data.conversation import IGNORE, TEMPLATES, ConversationEncoder
from eaglebench.data.sample import Sample, Turn
from eaglebench.language.tokenizer import FILE
from tests.helpers.trained_tokenizers import llama2_tokenizer, llama3_tokenizer, llama_tokenizer, qwen_tokenizer

IMAGE, VISUAL = -200, 3
TAG = "<image>"
SYSTEM = "Answer the questions."
TURNS = (Turn("what is there?", "a red star."), Turn("1. How many?", "2"), Turn("¿héllo 今天 ✓?", "blue\ngreen!"))


def compact_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny model's tokenizer with a chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(FILE),
        chat_template="{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
        "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    )


def tokenize_with_image(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """LLaVA's way: the text is cut at the image's tag, and what lies around it is tokenized whole."""
    first, *others = [tokenizer(chunk, add_special_tokens=False)["input_ids"] for chunk in text.split(TAG)]
    ids = first if tokenizer.bos_token_id is None else [tokenizer.bos_token_id, *first]
    for chunk in others:
        ids = [*ids, *[IMAGE] * VISUAL, *chunk]
    return ids


def write_chat(tokenizer: PreTrainedTokenizerFast, sample: Sample, answered: int | None) -> list[int]:
    """The ids that `apply_chat_template` gives, with the image before the first question."""
    messages = [] if sample.system is None else [{"role": "system", "content": sample.system}]
    for index, turn in enumerate(sample.turns):
        before = f"{TAG}\n" if index == 0 and sample.image is not None else ""
        messages.append({"role": "user", "content": before + turn.question})
        if index == answered:
            break
        messages.append({"role": "assistant", "content": turn.answer})
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answered is not None)
    if sample.image is None:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    begin = tokenizer.bos_token
    return tokenize_with_image(tokenizer, text if begin is None else text.removeprefix(begin))


def write_vicuna(tokenizer: PreTrainedTokenizerFast, sample: Sample, answered: int | None) -> list[int]:
    """The ids of LLaVA's conversation `v1`, whose turns end in a space and in `</s>`."""
    text = f"{TEMPLATES['vicuna_v1'].default_system if sample.system is None else sample.system} "
    for index, turn in enumerate(sample.turns):
        before = f"{TAG}\n" if index == 0 and sample.image is not None else ""
        text += f"USER: {before}{turn.question} ASSISTANT:"
        if index == answered:
            break
        text += f" {turn.answer}</s>"
    return tokenize_with_image(tokenizer, text)


def write_plain(tokenizer: PreTrainedTokenizerFast, sample: Sample, answered: int | None) -> list[int]:
    """The ids of LLaVA's conversation `plain`: the image and the captions, each on a line."""
    turns = sample.turns if answered is None else sample.turns[:answered]
    image = "" if sample.image is None else TAG
    return tokenize_with_image(tokenizer, image + "".join(f"{turn.answer}\n" for turn in turns))


CASES = {
    "compact": ("compact", compact_tokenizer, write_chat),
    "vicuna": ("vicuna_v1", llama_tokenizer, write_vicuna),
    "vicuna, legacy spaces": ("vicuna_v1", lambda: llama_tokenizer(legacy=True), write_vicuna),
    "vicuna, Llama 2's file": ("vicuna_v1", llama2_tokenizer, write_vicuna),
    "vicuna, byte-level": ("vicuna_v1", qwen_tokenizer, write_vicuna),
    "plain, SentencePiece": ("plain", llama_tokenizer, write_plain),
    "plain, byte-level": ("plain", qwen_tokenizer, write_plain),
    "chatml": ("chatml", qwen_tokenizer, write_chat),
    "llama3": ("llama3", llama3_tokenizer, write_chat),
}


@pytest.mark.parametrize("system", [None, SYSTEM], ids=["own system", "other system"])
@pytest.mark.parametrize("image", [None, Path("a.png")], ids=["text", "image"])
@pytest.mark.parametrize("case", CASES)
def test_conversations_and_prompts_have_the_ids_of_the_models_own_template(
    case: str, image: Path | None, system: str | None
) -> None:
    template, make, write = CASES[case]
    if template == "compact" and system is not None:
        pytest.skip("it has no system turn")
    tokenizer = make()
    encoder = ConversationEncoder(tokenizer, TEMPLATES[template], IMAGE, VISUAL, 1000)
    sample = Sample("s", image, TURNS, system)
    expected = write(tokenizer, sample, None)
    if template == "chatml":  # after the last turn, its newline is left out: nothing follows it
        newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
        assert expected[-len(newline) :] == newline
        expected = expected[: -len(newline)]
    assert list(encoder.encode(sample).input_ids) == expected
    for turn in range(len(TURNS)):
        assert list(encoder.encode_prompt(sample, turn)) == write(tokenizer, sample, turn)


@pytest.mark.parametrize("case", CASES)
def test_targets_are_the_answers_with_their_ends(case: str) -> None:
    template, make, _ = CASES[case]
    tokenizer = make()
    encoder = ConversationEncoder(tokenizer, TEMPLATES[template], IMAGE, VISUAL, 1000)
    encoded = encoder.encode(Sample("s", Path("a.png"), TURNS))
    targets: list[list[int]] = []
    for before, label in zip((IGNORE, *encoded.labels), encoded.labels, strict=False):
        if label != IGNORE:
            targets += [[]] if before == IGNORE else []
            targets[-1].append(label)
    if template == "plain":  # no question lies between
        assert tokenizer.decode(targets[0]) == "a red star.\n2\nblue\ngreen!\n"
        return
    end = TEMPLATES[template].end
    assert [tokenizer.decode(one).strip() for one in targets] == [f"{turn.answer}{end}" for turn in TURNS]


def test_tokens_of_vicunas_conversations_by_hand() -> None:
    """The known ids of LLaVA-1.5 around the image and after an answer: a space, the image, a space and a newline; and
    no space at the end of `USER:`.
    """
    tokenizer = llama_tokenizer(legacy=True)
    encoder = ConversationEncoder(tokenizer, TEMPLATES["vicuna_v1"], IMAGE, 1, 1000)
    pieces = tokenizer.convert_ids_to_tokens(
        [token if token != IMAGE else 0 for token in encoder.encode(Sample("s", Path("a.png"), TURNS[:2])).input_ids]
    )
    place = pieces.index("<unk>")
    assert pieces[place - 1 : place + 3] == ["▁", "<unk>", "▁", "<0x0A>"]
    end = pieces.index("</s>")
    assert "".join(pieces[end:]).startswith("</s>▁USER:▁<0x31>")


def test_an_image_without_a_question_is_followed_by_no_line_break() -> None:
    encoder = ConversationEncoder(qwen_tokenizer(), TEMPLATES["chatml"], IMAGE, VISUAL, 1000)
    pieces = [piece for piece, _ in TEMPLATES["chatml"].segments(Sample("s", Path("a.png"), (Turn("", "red"),)))]
    assert "\n" not in pieces
    assert IMAGE in encoder.encode(Sample("s", Path("a.png"), (Turn("", "red"),))).input_ids


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("compact", f"<|user|>{SYSTEM}\nhi<|assistant|>there<|end|>"),
        ("plain", "there\n"),
        ("vicuna_v1", f"{SYSTEM} USER: hi ASSISTANT: there</s>"),
    ],
)
def test_a_system_text_in_templates_without_a_role_for_it(template: str, text: str) -> None:
    sample = Sample("s", None, (Turn("hi", "there"),), SYSTEM)
    assert "".join(str(piece) for piece, _ in TEMPLATES[template].segments(sample)) == text
