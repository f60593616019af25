"""How a part is adapted for a run, besides being trained: precision, LoRA, activation checkpointing."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)

from eaglebench.language.base import LanguageModel, decoder_blocks
from eaglebench.utils.errors import UserError

LINEAR = ("Linear", "Linear4bit")  # torch's, and that of bitsandbytes with four bits per weight


def cast_weights(networks: Iterable[nn.Module], dtype: str) -> None:
    """Cast the weights of networks in place to a dtype, by its name in torch; they then compute in it."""
    for network in networks:
        network.to(getattr(torch, dtype))


def add_lora(part: nn.Module, networks: Sequence[nn.Module], name: str, rank: int, alpha: int, dropout: float) -> None:
    """Add a LoRA adapter in float32 to each linear layer of some networks, and freeze their own weights (arXiv
    2106.09685).

    The fused attention of `nn.MultiheadAttention`, as in open_clip's ViTs, gets no adapter. With peft 0.21 its output
    adapter would count twice, and merging and unmerging after each pass would let the frozen weights drift.

    Args:
        part: the part that the networks belong to.
        networks: the networks to adapt.
        name: the part's name in messages, such as `experts.clip`.
        rank: rank of the adapters.
        alpha: their scale: an adapter's output is multiplied by alpha / rank.
        dropout: dropout probability on an adapter's input.

    Raises:
        UserError: the part has no linear layer.
    """
    # Imported here: peft imports bitsandbytes where it is installed, which probes for GPUs and logs about them.
    from peft import LoraConfig, inject_adapter_in_model

    for network in networks:
        linear = [path for path, module in network.named_modules() if type(module).__name__ in LINEAR]
        if linear:
            inject_adapter_in_model(
                LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=linear), network
            )
    added = lora_parameters(part)
    if not added:
        raise UserError(f"{name} has no linear layer for LoRA: leave lora.rank at 0.")
    for parameter in added:
        parameter.data = parameter.data.float()


def checkpoint_activations(part: nn.Module, blocks: Iterable[nn.Module]) -> None:
    """Recompute the activations of each block of a part in the backward pass instead of storing them.

    This also holds for a frozen part that gradients pass through.
    """
    wrapped = set(blocks)
    apply_activation_checkpointing(
        part,
        checkpoint_wrapper_fn=partial(checkpoint_wrapper, checkpoint_impl=CheckpointImpl.NO_REENTRANT),
        check_fn=wrapped.__contains__,
    )


def lora_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module's LoRA adapters, recognised by peft's names."""
    return [parameter for name, parameter in module.named_parameters() if ".lora_" in name]


def adapt_language_model(
    language: LanguageModel, lora: Mapping[str, Any], activation_checkpointing: bool
) -> LanguageModel:
    """Adapt a language model in place and return it; its embeddings and its output layer get no adapter.

    Args:
        language: the language model.
        lora: `rank`, `alpha` and `dropout` of `add_lora`; rank 0 adds no adapters.
        activation_checkpointing: recompute the activations of its blocks in the backward pass.

    Raises:
        UserError: it has no linear layer for LoRA.
    """
    network = language.network
    if lora["rank"]:
        add_lora(network, [network.base_model], "llm", **lora)
    if activation_checkpointing:
        # Not transformers' own checkpointing, which is off in eval mode and so skips a frozen model.
        checkpoint_activations(network, decoder_blocks(network))
    exclude_quantized_weights(network)
    return language


def exclude_quantized_weights(network: nn.Module) -> None:
    """Keep four-bit weights out of a network's state dict: they are frozen and always come from their checkpoint."""
    quantized = [f"{name}.weight" for name, module in network.named_modules() if type(module).__name__ == "Linear4bit"]
    if not quantized:
        return

    def is_quantized(key: str) -> bool:
        return any(name in key for name in quantized)

    def remove_from_state(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
        for key in [key for key in state if key.startswith(prefix) and is_quantized(key)]:
            del state[key]

    def allow_missing(module: nn.Module, incompatible: Any) -> None:
        incompatible.missing_keys[:] = [key for key in incompatible.missing_keys if not is_quantized(key)]

    network.register_state_dict_post_hook(remove_from_state)  # type: ignore[no-untyped-call]
    network.register_load_state_dict_post_hook(allow_missing)  # type: ignore[no-untyped-call]
