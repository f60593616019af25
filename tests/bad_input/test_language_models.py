"""Folders of language models that are not what they seem: what is read all the same, and what a user is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from eaglebench.language.pretrained import load_pretrained
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.utils.errors import UserError

Weights = dict[str, Tensor]
TEXT = "The red star is left of 12 blue circles; naïve café, 你好."


def write_llama(folder: Path, tied: bool = False, **sizes: int) -> LlamaForCausalLM:
    """A folder with a small LLaMA of random weights, as transformers writes it, and the tiny tokenizer."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    config = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    network = LlamaForCausalLM(LlamaConfig(num_hidden_layers=2, tie_word_embeddings=tied, **config | sizes)).eval()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return network


def rewrite(folder: Path, change: Callable[[Weights], Weights], form: str = "model.safetensors") -> None:
    """Change the weights in a folder, and write them in another form: one file, or an index and two shards."""
    weights = {key: tensor.clone() for key, tensor in change(load_file(folder / "model.safetensors")).items()}
    (folder / "model.safetensors").unlink()
    write = save_file if "safetensors" in form else torch.save
    if not form.endswith(".index.json"):
        write(weights, folder / form)
        return
    suffix = "safetensors" if "safetensors" in form else "bin"
    weight_map = {key: f"shard-{number % 2}.{suffix}" for number, key in enumerate(weights)}
    for name in set(weight_map.values()):
        write({key: tensor for key, tensor in weights.items() if weight_map[key] == name}, folder / name)
    (folder / form).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def load(folder: Path) -> LlamaForCausalLM:
    return load_pretrained(str(folder), template="chatml", max_length=64).network.eval()


def compute_logits(network: LlamaForCausalLM) -> Tensor:
    with torch.no_grad():
        return network(torch.tensor([tiny_tokenizer()("colour of the star")["input_ids"]])).logits


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + key: tensor for key, tensor in weights.items()}


def replaced(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {key.replace(old, new): tensor for key, tensor in weights.items()}


def with_tensor(key: str, tensor: Tensor) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {key: tensor}


def without(key: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: tensor for name, tensor in weights.items() if name != key}


NORM, PROJECTION = "model.norm.weight", "model.layers.1.mlp.up_proj.weight"
NAN = torch.full((16,), torch.nan)
READ = {
    "DataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "Lightning": prefixed("model."),
    "PEFT, merged": prefixed("base_model.model."),
    "LLaVA": prefixed("language_model."),
    "a wrapper of no known name": prefixed("student.backbone."),
    "torch.compile of each layer": replaced(".mlp.", "._orig_mod.mlp."),
    "activation checkpointing": replaced(".self_attn.", "._checkpoint_wrapped_module.self_attn."),
    "FSDP inside DataParallel": lambda weights: prefixed("module.")(
        replaced("layers.0.", "layers.0._fsdp_wrapped_module.")(weights)
    ),
    "newer LLaVA": replaced("model.", "model.language_model."),
    "rotary buffers of old versions": with_tensor("model.layers.0.self_attn.rotary_emb.inv_freq", torch.ones(4)),
}


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("wrapper", READ)
def test_what_wrappers_leave_in_keys_is_taken_off(wrapper: str, form: str, tmp_path: Path) -> None:
    network = write_llama(tmp_path)
    rewrite(tmp_path, READ[wrapper], form)
    assert torch.equal(compute_logits(load(tmp_path)), compute_logits(network))


@pytest.mark.parametrize("form", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_wrapped_shards_are_read(form: str, tmp_path: Path) -> None:
    network = write_llama(tmp_path)
    rewrite(tmp_path, prefixed("module."), form)
    assert torch.equal(compute_logits(load(tmp_path)), compute_logits(network))


def test_a_tied_head_may_be_missing(tmp_path: Path) -> None:
    network = write_llama(tmp_path, tied=True)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    assert torch.equal(compute_logits(load(tmp_path)), compute_logits(network))


REFUSED = {
    "a key is missing": (without(NORM), rf"1 missing \({NORM}\)"),
    "a head is missing and not tied": (without("lm_head.weight"), r"1 missing \(lm_head.weight\)"),
    "a key is missing under a wrapper": (lambda weights: prefixed("module.")(without(NORM)(weights)), "1 missing"),
    "a layer too many": (with_tensor("model.layers.2.mlp.up_proj.weight", torch.ones(32, 16)), r"1 unexpected \(.*s.2"),
    "adapters that were not merged": (with_tensor("model.norm.lora_A.weight", torch.ones(2)), "1 unexpected .*lora_A"),
    "another shape": (with_tensor(NORM, torch.ones(8)), r"1 wrongly shaped \(model.norm.weight \(8,\) for \(16,\)\)"),
    "whole numbers": (with_tensor(NORM, torch.ones(16, dtype=torch.int64)), r"1 not of .* \(model.norm.weight int64\)"),
    "booleans": (with_tensor(PROJECTION, torch.ones(32, 16) > 0), r"not of floating point \(.*up_proj.weight bool\)"),
    "not a number": (with_tensor(NORM, NAN), r"1 not finite \(model.norm.weight\)"),
    "infinite": (with_tensor(NORM, torch.full((16,), -torch.inf)), r"1 not finite \(model.norm.weight\)"),
    "not a number under a wrapper": (lambda weights: prefixed("module.")(weights | {NORM: NAN}), "1 not finite"),
    "another model altogether": (
        lambda weights: {"a.weight": torch.ones(1)},
        r"21 missing .*; 1 unexpected \(a.weight",
    ),
}


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("fault", REFUSED)
def test_weights_that_do_not_fit_stop_with_their_names(
    fault: str, form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change, sentence = REFUSED[fault]
    write_llama(tmp_path)
    rewrite(tmp_path, change, form)
    with pytest.raises(UserError, match=f"the checkpoint .* of llm does not fit: .*{sentence}"):
        load(tmp_path)
    assert "LOAD REPORT" not in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04."])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_files_are_one_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    write_llama(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"llm.model=.* cannot be loaded \(.+\): give a local folder"):
        load(tmp_path)


def test_a_tokenizer_with_more_ids_than_rows_is_refused_with_both_numbers(tmp_path: Path) -> None:
    write_llama(tmp_path)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save_pretrained(tmp_path)
    rows = len(tiny_tokenizer())
    with pytest.raises(UserError, match=f"its tokenizer has {rows + 1} ids, and its embedding {rows} rows"):
        load(tmp_path)


def test_an_embedding_with_spare_rows_is_read(tmp_path: Path) -> None:
    write_llama(tmp_path, vocab_size=520)
    assert load_pretrained(str(tmp_path), template="chatml", max_length=64).image_token_id == 520


def test_a_sentencepiece_file_of_another_kind_is_refused(sentencepiece_unigram: bytes, tmp_path: Path) -> None:
    """Without a config, LLaMA's class is assumed; its ids are compared with SentencePiece's own."""
    write_llama(tmp_path, vocab_size=340)
    for path in tmp_path.glob("*token*"):
        path.unlink()
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_unigram)
    with pytest.raises(UserError, match=r"tokenizer.model is not a SentencePiece file of LLaMA's kind: give a folder"):
        load(tmp_path)


def train_sentencepiece(folder: Path, **options: Any) -> bytes:
    """A SentencePiece model of a few sentences, with the control tokens of LLaMA's."""
    lines = [f"The {colour} star is left of {number} circles." for colour in ("red", "blue") for number in range(99)]
    (folder / "corpus.txt").write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=340,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return (folder / "tokenizer.model").read_bytes()


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of LLaMA's kind: BPE, single digits, text as it is."""
    options = {"model_type": "bpe", "split_digits": True, "normalization_rule_name": "identity"}
    return train_sentencepiece(
        tmp_path_factory.mktemp("bpe"), remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, **options
    )


@pytest.fixture(scope="module")
def sentencepiece_unigram(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of another kind: no space is put before the first word."""
    return train_sentencepiece(tmp_path_factory.mktemp("other"), model_type="unigram", add_dummy_prefix=False)


@pytest.mark.parametrize("described", [True, False])
def test_a_folder_with_a_sentencepiece_tokenizer_alone_is_read(
    described: bool, sentencepiece_model: bytes, tmp_path: Path
) -> None:
    """As Vicuna's: `tokenizer.model`, with and without a config that names the class."""
    write_llama(tmp_path, vocab_size=340)
    for path in tmp_path.glob("*token*"):
        path.unlink()
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model)
    if described:
        named = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(named))
    tokenizer = load_pretrained(str(tmp_path), template="vicuna_v1", max_length=64).tokenizer
    processor = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model)
    assert tokenizer(TEXT, add_special_tokens=False)["input_ids"] == processor.encode(TEXT)
    assert tokenizer.bos_token_id == processor.bos_id()
    assert tokenizer.decode(processor.encode(TEXT)) == TEXT
    assert tokenizer.pad_token_id == processor.unk_id()
    assert tokenizer.eos_token_id == processor.eos_id()
