"""An expert as the subject of a measurement: normalised pixels in, its map out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from eaglebench.experts.base import VisionExpert
from eaglebench.model.adapt import cast_weights, checkpoint_activations
from eaglebench.profiling.bench.measure import Subject
from eaglebench.profiling.bench.upstream import expert_implementations, use_naive_attention


@dataclass(frozen=True)
class PassVariant:
    """How the pass of an expert is run.

    Attributes:
        backward: whether the backward pass of all weights is run too.
        dtype: of weights and pixels, by its name in torch.
        checkpointing: recompute activations in the backward pass.
    """

    backward: bool
    dtype: str
    checkpointing: bool

    @property
    def cells(self) -> tuple[str, str, str]:
        """The cells of a table that describe the pass, the precision, and what becomes of activations."""
        return (
            "forward + backward" if self.backward else "forward",
            self.dtype,
            "recomputed" if self.checkpointing else "kept",
        )


def make_expert_subject(spec: Mapping[str, Any], variant: PassVariant, batch_size: int, device: str) -> Subject:
    """The subject of an expert.

    Args:
        spec: the expert's class (`_target_`) and arguments.
        device: by its name in torch.
    """
    expert, pixels = prepare_expert(spec, variant, batch_size, device)
    return Subject(expert, pixels, partial(expert_implementations, expert), variant.backward, device)


def prepare_expert(
    spec: Mapping[str, Any], variant: PassVariant, batch_size: int, device: str
) -> tuple[VisionExpert, Tensor]:
    """The expert with random weights, and random pixels [B, 3, S, S] in the variant's precision."""
    torch.manual_seed(0)
    expert = build_expert(spec)
    cast_weights(expert.networks(), variant.dtype)
    if variant.checkpointing:
        checkpoint_activations(expert, expert.blocks())
    expert.train(variant.backward).to(device)
    pixels = torch.randn(batch_size, 3, expert.image_size, expert.image_size, device=device)
    return expert, pixels.to(getattr(torch, variant.dtype))


def build_expert(spec: Mapping[str, Any]) -> VisionExpert:
    """The expert of a class (`_target_`) and its arguments, with random weights."""
    arguments = dict(spec)
    expert: VisionExpert = resolve_name(arguments.pop("_target_"))(**arguments)
    return expert


def count_parameters_and_macs(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Parameters of an expert, and multiply-accumulates of one image, attention included; computed with meta tensors.

    Args:
        spec: the expert's class (`_target_`) and arguments.
    """
    with torch.device("meta"):
        expert = build_expert(spec)
        pixels = torch.empty(1, 3, expert.image_size, expert.image_size)
    counter = FlopCounterMode(display=False)
    # Naive attention, so that each of its matrix products is an operation that the counter sees.
    with use_naive_attention(expert) as forward, counter, torch.no_grad():
        forward(pixels)
    return sum(parameter.numel() for parameter in expert.parameters()), counter.get_total_flops() // 2
