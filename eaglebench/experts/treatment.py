"""What a run does to an expert beside training it and LoRA: precision, activation checkpointing."""

from functools import partial

import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)

from eaglebench.experts.base import VisionExpert


def cast(expert: VisionExpert, dtype: str) -> None:
    """Hold the expert's weights in a precision (by its name in torch), and encode in it; pixels and features stay as they are."""
    for network in expert.networks():
        network.to(getattr(torch, dtype))


def checkpoint_activations(expert: VisionExpert) -> None:
    """Compute the activations of each block again in the backward pass instead of keeping them."""
    blocks = set(expert.blocks())
    apply_activation_checkpointing(
        expert,
        checkpoint_wrapper_fn=partial(checkpoint_wrapper, checkpoint_impl=CheckpointImpl.NO_REENTRANT),
        check_fn=blocks.__contains__,
    )
