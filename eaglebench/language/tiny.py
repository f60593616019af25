"""A small LLaMA for the synthetic world: transformers' own class with scaled-down dimensions, and its own tokenizer."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import PositiveInt
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from eaglebench.data.synthetic.shapes import SIDE
from eaglebench.language.base import LanguageModel
from eaglebench.language.places import embed_places
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.utils.errors import UserError
from eaglebench.weights.files import load_weights, with_checkpoint_hint


def build_tiny_llama(
    width: PositiveInt,
    depth: PositiveInt,
    heads: PositiveInt,
    mlp_width: PositiveInt,
    checkpoint: Path | None = None,
    template: Literal["compact", "vicuna_v1", "plain", "chatml", "llama3"] = "compact",
    max_length: PositiveInt = 512,
) -> LanguageModel:
    """Build a small LLaMA with the weights of a file, or with random weights from torch's current random state.

    Args:
        width: D, the embedding width.
        depth: number of blocks.
        heads: attention heads; must divide `width`.
        mlp_width: width of the MLPs' hidden layer.
        checkpoint: a safetensors or torch file; None: random weights.
        template: the chat template of the model.
        max_length: context length in tokens.

    Raises:
        UserError: `checkpoint` is missing, damaged, or of other sizes.
    """
    tokenizer = tiny_tokenizer()
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=mlp_width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=max_length,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            # transformers' 0.02 suits widths of thousands: at 128 it keeps attention uniform for hundreds of steps.
            initializer_range=width**-0.5,
            attn_implementation="sdpa",
        )
    )
    if checkpoint is not None:
        with with_checkpoint_hint("llm"):
            load_weights(network, checkpoint, "llm")
    places = None if checkpoint is None else read_places(checkpoint, network, tokenizer)
    return LanguageModel(network, tokenizer, template, max_length, places)


@torch.no_grad()
def read_places(checkpoint: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Tensor | None:
    """The vectors of places [D, K, K] that a checkpoint of the zoo was pretrained with; None if there are none.

    Raises:
        UserError: they are of another size.
    """
    head = checkpoint.with_name(f"{checkpoint.stem}.head.safetensors")
    offsets = load_file(head).get("places.offsets") if head.is_file() else None
    if offsets is None:
        return None
    expected = (network.config.hidden_size, SIDE, SIDE)
    if offsets.shape != expected:
        found, wanted = (" x ".join(map(str, shape)) for shape in (offsets.shape, expected))
        raise UserError(f"{head} has vectors of places of {found}, not {wanted}: pretrain it again, or remove it.")
    return embed_places(network, tokenizer, offsets.float())
