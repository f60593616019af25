"""Seconds and memory of one expert, measured in processes of their own."""

import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from eaglebench.bench.upstream import Forward, ways, written_out
from eaglebench.errors import UserError
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
    """What one pass over a batch costs in one way of running it.

    Attributes:
        seconds: the median.
        megabytes: beyond the weights and the batch, at the peak.
    """

    seconds: float
    megabytes: float


def costs(config: Mapping[str, Any], variant: Variant, batch: int, repeats: int, device: str) -> dict[str, Cost]:
    """Measure an expert's class with its arguments (`config`, with `_target_`) in each of its `ways`.

    All take turns in one process, so that their ratios mean something on a busy machine; each peak of memory has a process of its own,
    because a process keeps what it has once had.
    """
    seconds = apart(seconds_of, config, variant, batch, repeats, device)
    return {way: Cost(seconds[way], apart(peak_of, config, variant, batch, way, device)) for way in seconds}


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a fresh process.

    Raises:
        UserError: the process was killed, as it is for want of memory.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise UserError("a measurement was killed, probably for want of memory: lower bench.batch_size.") from error


def seconds_of(config: Mapping[str, Any], variant: Variant, batch: int, repeats: int, device: str) -> dict[str, float]:
    """Median seconds of a pass in each way; the clock starts after one of each."""
    expert, pixels = prepared(config, variant, batch, device)
    seconds: dict[str, list[float]] = {way: [] for way in ways(expert)}
    for turn in range(repeats + 1):
        for way, context in ways(expert).items():
            with context as forward:
                measured = timed(expert, forward, pixels, variant.backward)
            if turn:
                seconds[way].append(measured)
    return {way: median(measured) for way, measured in seconds.items()}


def peak_of(config: Mapping[str, Any], variant: Variant, batch: int, way: str, device: str) -> float:
    """Megabytes that a pass needs beyond the weights and the batch."""
    expert, pixels = prepared(config, variant, batch, device)
    forget_peak(device)
    before = memory(device)
    with ways(expert)[way] as forward:
        timed(expert, forward, pixels, variant.backward)
    return memory(device) - before


def prepared(config: Mapping[str, Any], variant: Variant, batch: int, device: str) -> tuple[VisionExpert, Tensor]:
    """The expert with random weights, and a batch of pixels in their precision."""
    torch.manual_seed(0)
    expert = built(config)
    cast(expert, variant.dtype)
    if variant.checkpointing:
        checkpoint_activations(expert)
    expert.train(variant.backward).to(device)
    pixels = torch.randn(batch, 3, expert.image_size, expert.image_size, device=device)
    return expert, pixels.to(getattr(torch, variant.dtype))


def built(config: Mapping[str, Any]) -> VisionExpert:
    """The expert of its class (`_target_`) and arguments."""
    arguments = dict(config)
    module, _, name = str(arguments.pop("_target_")).rpartition(".")
    expert: VisionExpert = getattr(import_module(module), name)(**arguments)
    return expert


def timed(expert: VisionExpert, forward: Forward, pixels: Tensor, backward: bool) -> float:
    """Seconds of one pass through the expert's weights."""
    synchronise(pixels)
    start = time.perf_counter()
    with torch.set_grad_enabled(backward):
        features = forward(pixels)
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
    with torch.device("meta"):
        expert = built(config)
        pixels = torch.empty(1, 3, expert.image_size, expert.image_size)
    counter = FlopCounterMode(display=False)
    with written_out(expert) as forward, counter, torch.no_grad():
        forward(pixels)
    return sum(parameter.numel() for parameter in expert.parameters()), counter.get_total_flops() // 2
