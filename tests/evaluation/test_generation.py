"""Generation ends where the template does, and nothing of the checkpoint but its weights decides what is written.

The models here write one fixed text: each token is followed by one other, and after the end they go on.
"""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from eaglebench.data.collate import Collator
from eaglebench.data.conversation import IGNORE
from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.answer_room import AnswerLimits
from eaglebench.evaluation.generation import AnswerGenerator
from eaglebench.evaluation.questions import EvalQuestion, list_questions
from eaglebench.language.base import LanguageModel
from eaglebench.language.pretrained import load_pretrained
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.model.eagle import EagleModel, build_encoder
from eaglebench.utils.errors import UserError
from tests.helpers.trained_tokenizers import base_tokenizer, llama3_tokenizer, llama_tokenizer, qwen_tokenizer

ANSWER, MORE = "red", "blue"
SAMPLE = Sample("s", None, (Turn("what is there", ANSWER),))
QUESTIONS = list_questions([SAMPLE, Sample("t", None, (Turn("how many are there in the image", ANSWER),))])


def build_writer(tokenizer: PreTrainedTokenizerBase, template: str, max_length: int = 200) -> LanguageModel:
    """A language model that writes the answer, the template's end, and then one word for ever."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    width = len(tokenizer) + len(tokenizer) % 2
    config = LlamaConfig(
        vocab_size=width, hidden_size=width, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=max_length, bos_token_id=None, eos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    language = LanguageModel(LlamaForCausalLM(config), tokenizer, template, max_length)
    encoded = build_encoder(EagleModel({}, None, language), language).encode(SAMPLE)
    first = next(index for index, label in enumerate(encoded.labels) if label != IGNORE)
    (word,) = tokenizer(MORE, add_special_tokens=False)["input_ids"][-1:]
    chain = [*encoded.input_ids[first - 1 :], word, word]
    assert len(set(chain)) == len(chain) - 1
    network = language.network
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(torch.ones_like(weight) if "norm" in name else torch.zeros_like(weight))
        network.get_input_embeddings().weight.copy_(torch.eye(width))
        for token, following in pairwise(chain):
            network.get_output_embeddings().weight[following, token] = 1
    return language


def build_generator(language: LanguageModel, **options: Any) -> AnswerGenerator:
    model = EagleModel({}, None, language)
    settings = {"device": "cpu", "batch_size": 2, "limits": AnswerLimits(12), **options}
    return AnswerGenerator(model, build_encoder(model, language), language.tokenizer, lambda path: None, **settings)


def write_freely(language: LanguageModel, **options: Any) -> list[int]:
    """What the model writes when no token ends it."""
    model = EagleModel({}, None, language).eval()
    prompt = build_encoder(model, language).encode_prompt(SAMPLE)
    batch = Collator(0).collate_prompts([prompt], [None], ["s"])
    return model.generate(batch, 8, (), **options)[0].tolist()


@pytest.mark.parametrize(
    ("make", "template"),
    [
        (tiny_tokenizer, "compact"),
        (qwen_tokenizer, "chatml"),  # whose tokenizer's own end is that of a document
        (base_tokenizer, "chatml"),  # whose tokenizer has no control token of the template
        (llama3_tokenizer, "llama3"),
        (llama_tokenizer, "vicuna_v1"),
        (base_tokenizer, "vicuna_v1"),
        (llama_tokenizer, "plain"),
        (lambda: llama_tokenizer(legacy=True), "plain"),
    ],
)
def test_an_answer_ends_where_the_template_does(
    make: Callable[[], PreTrainedTokenizerBase], template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    language = build_writer(make(), template)
    generator = build_generator(language)
    lengths, generate = [], EagleModel.generate

    def count(*arguments: Any, **options: Any) -> torch.Tensor:
        tokens = generate(*arguments, **options)
        lengths.append(tokens.shape[1])
        return tokens

    monkeypatch.setattr(EagleModel, "generate", count)
    assert list(generator.answer(QUESTIONS)) == [ANSWER, ANSWER]
    targets = [label for label in generator.encoder.encode(SAMPLE).labels if label != IGNORE]
    assert lengths == [len(targets)]
    assert MORE in language.tokenizer.decode(write_freely(language))


def test_beams_end_there_too() -> None:
    for make in (qwen_tokenizer, base_tokenizer):
        generator = build_generator(build_writer(make(), "chatml"), options={"num_beams": 3})
        assert list(generator.answer(QUESTIONS)) == [ANSWER, ANSWER]


LEAKS = {
    "suppress_tokens": lambda tokenizer: tokenizer(ANSWER, add_special_tokens=False)["input_ids"],
    "bad_words_ids": lambda tokenizer: [tokenizer(ANSWER, add_special_tokens=False)["input_ids"]],
    "repetition_penalty": lambda tokenizer: 50.0,
    "no_repeat_ngram_size": lambda tokenizer: 1,
    "do_sample": lambda tokenizer: True,
    "num_beams": lambda tokenizer: 3,
    "max_time": lambda tokenizer: 0.0,
    "sequence_bias": lambda tokenizer: [[tokenizer(MORE, add_special_tokens=False)["input_ids"], 50.0]],
}


@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
@pytest.mark.parametrize("option", LEAKS)
def test_generation_settings_of_a_checkpoint_do_not_count(option: str, file: str, tmp_path: Path) -> None:
    """Neither those of its own file nor, as in older checkpoints, those among the network's sizes."""
    language = build_writer(qwen_tokenizer(), "chatml")
    language.network.save_pretrained(tmp_path)
    language.tokenizer.save_pretrained(tmp_path)
    path = tmp_path / file
    settings = {option: LEAKS[option](language.tokenizer), "temperature": 90.0, "top_k": 0}
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    loaded = load_pretrained(str(tmp_path), "chatml", 200)
    torch.manual_seed(0)
    assert write_freely(loaded) == write_freely(language)
    assert list(build_generator(loaded).answer(QUESTIONS)) == [ANSWER, ANSWER]


def test_those_of_the_evaluation_do() -> None:
    language = build_writer(qwen_tokenizer(), "chatml")
    hidden = language.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    assert ANSWER not in list(build_generator(language, options={"suppress_tokens": hidden}).answer(QUESTIONS))
    for reserved in ("eos_token_id", "max_new_tokens"):
        with pytest.raises(UserError, match=rf"evaluation\.generate=.*{reserved}.* cannot be used"):
            list(build_generator(language, options={reserved: 7}).answer(QUESTIONS))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The ids of the questions of each batch that is answered."""
    batches: list[list[str]] = []
    answer_batch = AnswerGenerator.answer_batch

    def record(self: AnswerGenerator, questions: list[EvalQuestion], limit: int) -> list[str]:
        batches.append([question.sample.id for question in questions])
        return answer_batch(self, questions, limit)

    monkeypatch.setattr(AnswerGenerator, "answer_batch", record)
    return batches


LONG = Sample("long", None, (Turn("red star " * 60, ANSWER),))


def test_nothing_is_asked_if_one_prompt_is_too_long(asked: list[list[str]]) -> None:
    generator = build_generator(build_writer(qwen_tokenizer(), "chatml", max_length=100))
    with pytest.raises(UserError, match=r"1 of 3 questions do not fit in llm.max_length=100"):
        list(generator.answer([*QUESTIONS, *list_questions([LONG])]))
    assert asked == []


def test_a_shortened_answer_is_generated_apart(asked: list[list[str]]) -> None:
    """A batch has one limit, and every row of it stays within the context."""
    language = build_writer(qwen_tokenizer(), "chatml", max_length=400)
    questions = list_questions([LONG, *(question.sample for question in QUESTIONS)])
    prompt = len(build_generator(language).encoder.encode_prompt(LONG))
    language.max_length = prompt + 1  # room for the answer, and not for its end
    generator = build_generator(language, limits=AnswerLimits(12, overlong="shorten_answer"))
    assert list(generator.answer(questions)) == [ANSWER] * 3
    assert asked == [["long"], ["s", "t"]]
