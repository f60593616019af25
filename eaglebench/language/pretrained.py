"""Language models from a hub name or a local folder, with their weights or without."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import PositiveInt
from sentencepiece import SentencePieceProcessor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    LlamaTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from eaglebench.language.base import LanguageModel
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.utils.errors import UserError
from eaglebench.weights.hub import prepare_hub_for
from eaglebench.weights.transformers_models import load_transformers, transformers_errors

SENTENCEPIECE, TOKENIZER_JSON = "tokenizer.model", ("tokenizer.json", "tokenizer_config.json")  # in a folder
PROBE = "The red star, 12 px; naïve café, 你好."


def load_pretrained(
    model: str,
    template: Literal["compact", "vicuna_v1", "plain", "chatml", "llama3"],
    max_length: PositiveInt,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    quantize: Literal["4bit"] | None = None,
) -> LanguageModel:
    """Load any transformers causal LM with its tokenizer.

    A tokenizer without a pad token pads with its unknown token, as Vicuna does, or else with its end token. Padding is
    never attended to and never a target.

    Args:
        model: a hub name or a local folder.
        template: the chat template of the model.
        max_length: context length in tokens.
        dtype: precision of the weights.
        quantize: `4bit` holds the weights of linear layers in four bits (NF4 with double quantization) and computes in
            bfloat16, as in QLoRA (arXiv 2305.14314).

    Raises:
        UserError: the model cannot be loaded whole, its tokenizer has more ids than its embedding has rows, it has
            fewer positions than `max_length`, or `quantize` needs a package that is not installed.
    """
    prepare_hub_for(model)
    with transformers_errors(f"llm.model={model} cannot be loaded"):
        tokenizer = load_tokenizer(model)
        network = load_transformers(
            AutoModelForCausalLM,
            model,
            "llm",
            dtype=dtype,
            attn_implementation="sdpa",
            quantization_config=build_quantization(quantize),
        )
    check_vocabulary(model, tokenizer, network)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    language = LanguageModel(network, tokenizer, template, max_length)
    language.check_positions()
    return language


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a hub name or a local folder.

    Of a folder with a SentencePiece file alone, transformers does not know the class. LLaMA's gives its ids; another
    one lacks the space before the first word.

    Raises:
        UserError: the ids are not those that SentencePiece itself gives.
    """
    alone = Path(model) / SENTENCEPIECE
    if not alone.is_file() or any((Path(model) / name).is_file() for name in TOKENIZER_JSON):
        return AutoTokenizer.from_pretrained(model)
    tokenizer = LlamaTokenizer.from_pretrained(model)
    expected = SentencePieceProcessor(model_file=str(alone)).encode(PROBE)
    if tokenizer(PROBE, add_special_tokens=False)["input_ids"] != expected:
        raise UserError(f"{alone} is not a SentencePiece file of LLaMA's kind: give a folder with tokenizer.json.")
    return tokenizer


def check_vocabulary(model: str, tokenizer: PreTrainedTokenizerBase, network: PreTrainedModel) -> None:
    """Refuse a tokenizer with ids for which the embedding has no rows.

    Raises:
        UserError: there are such ids.
    """
    ids, rows = max(tokenizer.get_vocab().values()) + 1, len(network.get_input_embeddings().weight)
    if ids > rows:
        raise UserError(
            f"llm.model={model}: its tokenizer has {ids} ids, and its embedding {rows} rows: give a folder whose "
            "tokenizer belongs to its weights, or enlarge the embedding (transformers' resize_token_embeddings)."
        )


def build_quantization(quantize: Literal["4bit"] | None) -> BitsAndBytesConfig | None:
    """transformers' config of a quantization; None for none.

    Raises:
        UserError: bitsandbytes is not installed.
    """
    if quantize is None:
        return None
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(f"llm.quantize={quantize} needs bitsandbytes: pip install 'eaglebench[qlora]'.")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def build_from_architecture(
    model: str,
    template: Literal["compact", "vicuna_v1", "plain", "chatml", "llama3"],
    max_length: PositiveInt,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    architecture: Mapping[str, Any] | None = None,
) -> LanguageModel:
    """Build the network of a causal LM with random weights, without a download; for task=plan.

    The tokenizer is that of the tiny language model: a plan needs sizes alone.

    Args:
        model: a local folder whose config gives the sizes; otherwise its name in messages.
        template: the chat template of the model.
        max_length: context length in tokens.
        dtype: precision of the weights.
        architecture: fields of transformers' config, with its `model_type`, for a model that is not a local folder.

    Raises:
        UserError: the model is no local folder and `architecture` is missing, or transformers refuses the config.
    """
    with transformers_errors(f"llm.model={model} cannot be loaded"):
        config = read_architecture(model, architecture)
        network = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return LanguageModel(network, tiny_tokenizer(), template, max_length)


def read_architecture(model: str, architecture: Mapping[str, Any] | None) -> PreTrainedConfig:
    """transformers' config of a local folder, or of the fields in `architecture`.

    Raises:
        UserError: neither is given.
    """
    if Path(model).expanduser().is_dir():
        return AutoConfig.from_pretrained(model)
    if architecture is None:
        raise UserError(
            f"llm.architecture is not set, and {model} is no folder: give it (model_type, hidden_size, "
            "num_hidden_layers ...), or the folder of the model."
        )
    return AutoConfig.for_model(**architecture)
