"""An expert as the subject of a measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from eaglebench.experts.base import VisionExpert
from eaglebench.model.adapt import cast, checkpoint_activations
from eaglebench.profiling.bench.measure import Subject
from eaglebench.profiling.bench.upstream import ways, written_out


@dataclass(frozen=True)
class Variant:
    """How an expert is run.

    Attributes:
        backward: also the backward pass, of all weights.
        dtype: of the weights and of encoding.
        checkpointing: of activations.
    """

    backward: bool
    dtype: str
    checkpointing: bool


def subject(config: Mapping[str, Any], variant: Variant, batch: int, device: str) -> Subject:
    """An expert's class with its arguments (`config`, with `_target_`) and a batch of pixels."""
    expert, pixels = prepared(config, variant, batch, device)
    return Subject(expert, pixels, partial(ways, expert), variant.backward, device)


def prepared(config: Mapping[str, Any], variant: Variant, batch: int, device: str) -> tuple[VisionExpert, Tensor]:
    """The expert with random weights, and a batch of pixels in their precision."""
    torch.manual_seed(0)
    expert = built(config)
    cast(expert.networks(), variant.dtype)
    if variant.checkpointing:
        checkpoint_activations(expert, expert.blocks())
    expert.train(variant.backward).to(device)
    pixels = torch.randn(batch, 3, expert.image_size, expert.image_size, device=device)
    return expert, pixels.to(getattr(torch, variant.dtype))


def built(config: Mapping[str, Any]) -> VisionExpert:
    """The expert of its class (`_target_`) and arguments."""
    arguments = dict(config)
    module, _, name = str(arguments.pop("_target_")).rpartition(".")
    expert: VisionExpert = getattr(import_module(module), name)(**arguments)
    return expert


def size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates of one image, attention included; computed on the meta device."""
    with torch.device("meta"):
        expert = built(config)
        pixels = torch.empty(1, 3, expert.image_size, expert.image_size)
    counter = FlopCounterMode(display=False)
    with written_out(expert) as forward, counter, torch.no_grad():
        forward(pixels)
    return sum(parameter.numel() for parameter in expert.parameters()), counter.get_total_flops() // 2
