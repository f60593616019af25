"""A small LLaMA for the synthetic world: transformers' own class with small numbers, and its own tokenizer."""

from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM

from eaglebench.language.base import LanguageModel
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.weights.files import load_weights, way_out


def tiny_llama(
    width: int,
    depth: int,
    heads: int,
    mlp_width: int,
    checkpoint: Path | None = None,
    template: str = "compact",
    max_length: int = 512,
) -> LanguageModel:
    """A LLaMA with the weights of a file; without one, random weights from torch's current random state."""
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
        with way_out("llm"):
            load_weights(network, checkpoint, "llm")
    return LanguageModel(network, tokenizer, template, max_length)
