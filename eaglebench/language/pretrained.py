"""Language models from a hub name or a local folder."""

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedConfig

from eaglebench.language.base import LanguageModel
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.utils.errors import UserError, first_line


def pretrained(
    model: str, template: str, max_length: int, dtype: str = "float32", quantize: str | None = None
) -> LanguageModel:
    """Any transformers causal LM with its tokenizer.

    A tokenizer without a pad token pads with its unknown token, as Vicuna does, or else with its end token: padding is never
    attended to and never a target.

    Args:
        quantize: `4bit`: linear layers are held in four bits (NF4, with quantized constants) and computed in bfloat16, as in QLoRA.

    Raises:
        UserError: the folder or name gives no model, or what quantizes is not installed.
    """
    with told(model):
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModelForCausalLM.from_pretrained(
            model, dtype=dtype, attn_implementation="sdpa", quantization_config=quantization(quantize)
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return LanguageModel(network, tokenizer, template, max_length)


def quantization(quantize: str | None) -> BitsAndBytesConfig | None:
    """transformers' config of a quantization by name; None for none."""
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


def outlined(
    model: str, template: str, max_length: int, dtype: str = "float32", architecture: Mapping[str, Any] | None = None
) -> LanguageModel:
    """The network of a causal LM with fresh weights, and no download: its numbers are those of a local folder, or `architecture`.

    Its tokenizer is a stand-in: sizes are all that is wanted of it.

    Raises:
        UserError: neither gives numbers.
    """
    with told(model):
        config = numbers(model, architecture)
        network = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return LanguageModel(network, tiny_tokenizer(), template, max_length)


def numbers(model: str, architecture: Mapping[str, Any] | None) -> PreTrainedConfig:
    """The config of a language model."""
    if Path(model).expanduser().is_dir():
        return AutoConfig.from_pretrained(model)
    if architecture is None:
        raise UserError(
            f"llm.architecture is not set, and {model} is no folder: give it (model_type, hidden_size, num_hidden_layers ...), or the "
            "folder of the model."
        )
    return AutoConfig.for_model(**architecture)


@contextmanager
def told(model: str) -> Iterator[None]:
    """Errors of transformers as sentences."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"llm.model={model} cannot be loaded ({first_line(error)}): give a local folder or a hub name."
        ) from error
