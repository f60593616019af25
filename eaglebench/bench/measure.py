"""Seconds and memory of one expert, each measurement in a process of its own."""

import resource
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from eaglebench.bench.upstream import written_out
from eaglebench.experts.base import VisionExpert
from eaglebench.experts.treatment import cast, checkpoint_activations

PEAK_RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")  # of Linux, see proc(5)


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


@dataclass(frozen=True)
class Cost:
    """What one pass over a batch costs.

    Attributes:
        seconds: the median.
        megabytes: beyond the weights and the batch, at the peak.
        plain_seconds, plain_megabytes: the same with attention written out; None if the expert has none.
    """

    seconds: float
    megabytes: float
    plain_seconds: float | None
    plain_megabytes: float | None


def cost(config: Mapping[str, Any], variant: Variant, batch: int, repeats: int, device: str) -> Cost:
    """Measure an expert's class with its arguments (`config`, with `_target_`) in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(cost_here, config, variant, batch, repeats, device).result()


def cost_here(config: Mapping[str, Any], variant: Variant, batch: int, repeats: int, device: str) -> Cost:
    """Measure in this process. The two kinds of attention take turns, so that their ratio means something on a busy machine."""
    expert, pixels = prepared(config, variant, batch, device)
    megabytes = peak(expert, pixels, variant.backward)
    with written_out(expert) as different:
        plain_megabytes = peak(expert, pixels, variant.backward) if different else None
    seconds, plain_seconds = [], []
    for _ in range(repeats):
        seconds.append(timed(expert, pixels, variant.backward))
        with written_out(expert):
            plain_seconds.append(timed(expert, pixels, variant.backward))
    return Cost(median(seconds), megabytes, None if plain_megabytes is None else median(plain_seconds), plain_megabytes)


def peak(expert: VisionExpert, pixels: Tensor, backward: bool) -> float:
    """Megabytes that a pass needs beyond what is held already."""
    device = str(pixels.device)
    forget_peak(device)
    before = memory(device)
    timed(expert, pixels, backward)
    return memory(device) - before


def prepared(config: Mapping[str, Any], variant: Variant, batch: int, device: str) -> tuple[VisionExpert, Tensor]:
    """The expert with random weights, and a batch of pixels."""
    from hydra.utils import instantiate

    torch.manual_seed(0)
    expert: VisionExpert = instantiate(dict(config), _convert_="all")
    cast(expert, variant.dtype)
    if variant.checkpointing:
        checkpoint_activations(expert)
    expert.train(variant.backward).to(device)
    return expert, torch.randn(batch, 3, expert.image_size, expert.image_size, device=device)


def timed(expert: VisionExpert, pixels: Tensor, backward: bool) -> float:
    """Seconds of one pass."""
    synchronise(pixels)
    start = time.perf_counter()
    with torch.set_grad_enabled(backward):
        features = expert(pixels)
        if backward:
            features.square().mean().backward()
    synchronise(pixels)
    seconds = time.perf_counter() - start
    expert.zero_grad(set_to_none=True)
    return seconds


def synchronise(pixels: Tensor) -> None:
    """Wait for the device."""
    if pixels.is_cuda:
        torch.cuda.synchronize(pixels.device)


def forget_peak(device: str) -> None:
    """Let the peak of memory begin at what is held now. Not to be had for processes but on Linux."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    elif PEAK_RESET.exists():
        PEAK_RESET.write_text("5")


def memory(device: str) -> float:
    """The peak so far, in megabytes: of the device, or of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    if STATUS.exists():
        (peak,) = (line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10  # macOS counts bytes, others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates of one image, attention included; computed on the meta device."""
    from hydra.utils import instantiate

    with torch.device("meta"):
        expert: VisionExpert = instantiate(dict(config), _convert_="all")
        pixels = torch.empty(1, 3, expert.image_size, expert.image_size)
    counter = FlopCounterMode(display=False)
    with written_out(expert), counter, torch.no_grad():
        expert(pixels)
    return sum(parameter.numel() for parameter in expert.parameters()), counter.get_total_flops() // 2
