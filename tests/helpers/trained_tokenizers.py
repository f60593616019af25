"""Tokenizers of the kinds that language models have, trained in a moment, with the chat templates of their models."""

import json
from functools import cache
from itertools import product

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

TEXT = (
    "a chat between curious user and an artificial intelligence assistant the gives helpful detailed polite answers to "
    "questions what colour is star how many shapes are there red blue green image shows You USER: ASSISTANT: system\n"
)
WORDS = TEXT.split(" ")
CORPUS = [f"{one} {other}, {one}! <|im_start|> <|im_end|> </s>\n" for one, other in product(WORDS, WORDS)]

QWEN_CHAT = (  # of Qwen2-7B-Instruct
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3_CHAT = (  # of Meta-Llama-3-8B-Instruct
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' "
    "+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA3_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


@cache
def byte_level_parts(regex: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and the merges of a byte-level BPE that splits texts by a regex first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split_bytes(regex)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer.get_vocab(), read_merges(tokenizer)


def split_bytes(regex: str) -> pre_tokenizers.PreTokenizer:
    """Splits by a regex, then into bytes."""
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )


def read_merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The merges of a trained BPE."""
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def base_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, and its only control token is the end of a document: that of a base model."""
    vocabulary, merges = byte_level_parts(PRETOKENIZE_REGEX)
    return Qwen2Tokenizer(dict(vocabulary), list(merges))


def qwen_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level with ChatML's control tokens added, as of Qwen2."""
    tokenizer = base_tokenizer()
    tokenizer.add_tokens([AddedToken(f"<|im_{name}|>", special=True) for name in ("start", "end")], special_tokens=True)
    tokenizer.chat_template = QWEN_CHAT
    return tokenizer


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level with the control tokens of Llama 3, which begins every text with one."""
    vocabulary, merges = byte_level_parts(LLAMA3_REGEX)
    backend = Tokenizer(models.BPE(dict(vocabulary), list(merges), ignore_merges=True))
    backend.pre_tokenizer, backend.decoder = split_bytes(LLAMA3_REGEX), decoders.ByteLevel()
    names = ("begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id")
    backend.add_special_tokens([f"<|{name}|>" for name in names])
    begin = ("<|begin_of_text|>", backend.token_to_id("<|begin_of_text|>"))
    backend.post_processor = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        chat_template=LLAMA3_CHAT,
    )


@cache
def sentencepiece_parts() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and the merges of a BPE on words with SentencePiece's spaces, with a token for each byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        [text.replace("\n", " ") for text in CORPUS],
        trainers.BpeTrainer(vocab_size=600, special_tokens=first, show_progress=False),
    )
    return tokenizer.get_vocab(), read_merges(tokenizer)


def llama_tokenizer(legacy: bool = False) -> PreTrainedTokenizerFast:
    """SentencePiece's BPE with bytes for unknown characters, as of Llama 2 and Vicuna.

    Args:
        legacy: put a space before the text after each control token too, as LLaVA's tokenizer does.
    """
    vocabulary, merges = sentencepiece_parts()
    return LlamaTokenizer(dict(vocabulary), list(merges), legacy=legacy)


def llama2_tokenizer() -> PreTrainedTokenizerFast:
    """The same, as Llama 2's tokenizer.json writes it down: spaces are made by a normalizer."""
    vocabulary, merges = sentencepiece_parts()
    backend = Tokenizer(
        models.BPE(dict(vocabulary), list(merges), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in ("<unk>", "<s>", "</s>")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """SentencePiece's unigram model, whose control tokens are likely pieces of plain text too."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    pieces += [
        (piece, -float(1 + index)) for index, piece in enumerate(sorted({*"▁</|>", *"".join(CORPUS), "▁red", "▁USER"}))
    ]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
