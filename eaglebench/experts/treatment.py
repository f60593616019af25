"""What a run does to an expert beside training it: precision, LoRA, activation checkpointing."""

from functools import partial

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)

from eaglebench.errors import UserError
from eaglebench.experts.base import VisionExpert
from eaglebench.weights import adapters


def cast(expert: VisionExpert, dtype: str) -> None:
    """Hold the expert's weights in a precision (by its name in torch), and encode in it; pixels and features stay as they are."""
    for network in expert.networks():
        network.to(getattr(torch, dtype))


def add_lora(expert: VisionExpert, rank: int, alpha: int, dropout: float) -> None:
    """Freeze the weights, and give each `nn.Linear` a LoRA adapter of peft's, in float32.

    The fused attention of `nn.MultiheadAttention` (open_clip's ViTs) gets none: peft 0.21 adds the product of its output adapter twice,
    and takes products off the frozen weights after each pass, which lets them drift.

    Raises:
        UserError: there is no linear layer.
    """
    for network in expert.networks():
        linear = [name for name, module in network.named_modules() if type(module) is nn.Linear]
        if linear:
            inject_adapter_in_model(
                LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=linear), network
            )
    added = adapters(expert)
    if not added:
        raise UserError(f"{type(expert).__name__.lower()} has no linear layer for LoRA: leave lora.rank at 0.")
    for parameter in added:
        parameter.data = parameter.data.float()


def checkpoint_activations(expert: VisionExpert) -> None:
    """Compute the activations of each block again in the backward pass instead of keeping them."""
    blocks = set(expert.blocks())
    apply_activation_checkpointing(
        expert,
        checkpoint_wrapper_fn=partial(checkpoint_wrapper, checkpoint_impl=CheckpointImpl.NO_REENTRANT),
        check_fn=blocks.__contains__,
    )
