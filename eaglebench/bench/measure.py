"""Seconds and memory of one expert, measured in processes of their own."""

import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from eaglebench.bench.upstream import OURS, Forward, ways, written_out
from eaglebench.errors import UserError
from eaglebench.experts.base import VisionExpert
from eaglebench.experts.treatment import cast, checkpoint_activations

LEAST_SECONDS = 0.2  # of a measurement
WARM_UP_TURNS = 2
LONG_SECONDS = 2.0  # a pass of this length needs no warm-up: what its first call adds is lost in it
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
    with ProcessPoolExecutor(1, mp_context=fresh_processes()) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise UserError("a measurement was killed, probably for want of memory: lower bench.batch_size.") from error


@cache
def fresh_processes() -> BaseContext:
    """Processes that have imported this module and done nothing else; where they can be had, forked off one that did it once."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def seconds_of(config: Mapping[str, Any], variant: Variant, batch: int, repeats: int, device: str) -> dict[str, float]:
    """Median seconds of a pass in each way; short passes are timed many at once, after turns that warm up."""
    expert, pixels = prepared(config, variant, batch, device)
    seconds: dict[str, list[float]] = {way: [] for way in ways(expert)}
    passes = dict.fromkeys(seconds, 1)
    cold = WARM_UP_TURNS
    while len(seconds[OURS]) < repeats:
        once = {}
        for way, context in ways(expert).items():
            with context as forward:
                once[way] = timed(expert, forward, pixels, variant.backward, passes[way])
        if cold and max(once.values()) < LONG_SECONDS:
            cold -= 1
            passes = {way: math.ceil(LEAST_SECONDS / one) for way, one in once.items()}
        else:
            cold = 0
            for way, one in once.items():
                seconds[way].append(one)
    return {way: median(measured) for way, measured in seconds.items()}


def peak_of(config: Mapping[str, Any], variant: Variant, batch: int, way: str, device: str) -> float:
    """Megabytes that a pass needs beyond the weights and the batch."""
    expert, pixels = prepared(config, variant, batch, device)
    forget_peak(device)
    before = memory(device)
    with ways(expert)[way] as forward:
        timed(expert, forward, pixels, variant.backward, passes=1)
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


def timed(expert: VisionExpert, forward: Forward, pixels: Tensor, backward: bool, passes: int) -> float:
    """Seconds of one of some passes through the expert's weights."""
    synchronise(pixels)
    start = time.perf_counter()
    for _ in range(passes):
        with torch.set_grad_enabled(backward):
            features = forward(pixels)
            if backward:
                features.square().mean().backward()
        expert.zero_grad(set_to_none=True)
    synchronise(pixels)
    return (time.perf_counter() - start) / passes


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
