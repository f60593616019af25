"""What a run does to a part beside training it: precision, LoRA, activation checkpointing."""

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

from eaglebench.language.base import LanguageModel, repeated
from eaglebench.utils.errors import UserError

LINEAR = ("Linear", "Linear4bit")  # of torch, and bitsandbytes' with four bits a weight


def cast(networks: Iterable[nn.Module], dtype: str) -> None:
    """Hold the weights of networks in a precision (by its name in torch), and compute in it."""
    for network in networks:
        network.to(getattr(torch, dtype))


def add_lora(part: nn.Module, networks: Sequence[nn.Module], name: str, rank: int, alpha: int, dropout: float) -> None:
    """Freeze the weights of `networks`, which are in `part`, and give each of their linear layers an adapter, in float32.

    The fused attention of `nn.MultiheadAttention` (open_clip's ViTs) gets none: peft 0.21 adds the product of its output adapter twice,
    and takes products off the frozen weights after each pass, which lets them drift.

    Raises:
        UserError: there is no linear layer. `name` is the part's, in messages.
    """
    # Here, because peft imports bitsandbytes where that is installed, which looks for GPUs and kernels and says so.
    from peft import LoraConfig, inject_adapter_in_model

    for network in networks:
        linear = [path for path, module in network.named_modules() if type(module).__name__ in LINEAR]
        if linear:
            inject_adapter_in_model(
                LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=linear), network
            )
    added = adapters(part)
    if not added:
        raise UserError(f"{name} has no linear layer for LoRA: leave lora.rank at 0.")
    for parameter in added:
        parameter.data = parameter.data.float()


def checkpoint_activations(part: nn.Module, blocks: Iterable[nn.Module]) -> None:
    """Compute the activations of each block of a part again in the backward pass instead of keeping them; of a frozen part too, where
    gradients go through it."""
    found = set(blocks)
    apply_activation_checkpointing(
        part,
        checkpoint_wrapper_fn=partial(checkpoint_wrapper, checkpoint_impl=CheckpointImpl.NO_REENTRANT),
        check_fn=found.__contains__,
    )


def adapters(module: nn.Module) -> list[nn.Parameter]:
    """The weights of a module's LoRA adapters, as peft names them."""
    return [parameter for name, parameter in module.named_parameters() if ".lora_" in name]


def treated(language: LanguageModel, lora: Mapping[str, Any], activation_checkpointing: bool) -> LanguageModel:
    """The language model, its layers with adapters if `lora.rank` is not 0; the words that it reads and writes stay as they are."""
    network = language.network
    if lora["rank"]:
        add_lora(network, [network.base_model], "llm", **lora)
    if activation_checkpointing:
        # Not transformers' own, which leaves a frozen model alone.
        checkpoint_activations(network, repeated(network))
    leave_out_quantized(network)
    return language


def leave_out_quantized(network: nn.Module) -> None:
    """Keep weights of four bits out of the network's state dict: they come from their checkpoint, and nothing trains them."""
    quantized = [f"{name}.weight" for name, module in network.named_modules() if type(module).__name__ == "Linear4bit"]
    if not quantized:
        return

    def left_out(key: str) -> bool:
        return any(name in key for name in quantized)

    def save(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
        for key in [key for key in state if key.startswith(prefix) and left_out(key)]:
            del state[key]

    def load(module: nn.Module, incompatible: Any) -> None:
        incompatible.missing_keys[:] = [key for key in incompatible.missing_keys if not left_out(key)]

    network.register_state_dict_post_hook(save)
    network.register_load_state_dict_post_hook(load)
