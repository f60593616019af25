"""Seconds and memory of something that can be run in several ways, measured in processes of their own."""

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.utils.errors import UserError

OURS = "eaglebench"  # the way that the others are compared with
LEAST_SECONDS = 0.2  # of a measurement
WARM_UP_TURNS = 2
LONG_SECONDS = 2.0  # a pass of this length needs no warm-up: what its first call adds is lost in it
PEAK_RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")  # of Linux, see proc(5)
SUBJECTS = (
    "eaglebench.profiling.bench.expert_subject",
    "eaglebench.profiling.bench.fusion_subject",
)  # what a fresh process has imported already

Forward = Callable[[Any], Tensor]
Ways = Mapping[str, AbstractContextManager[Forward]]


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        module: holds the weights that all ways share.
        inputs: of every way.
        ways: gives each way of running it by name, OURS among them, within its context.
        backward: also the backward pass, of all weights.
        device: by its name in torch.
    """

    module: nn.Module
    inputs: Any
    ways: Callable[[], Ways]
    backward: bool
    device: str


Prepare = Callable[[], Subject]


class NoRoomError(UserError):
    """There was too little memory for a measurement."""


@dataclass(frozen=True)
class Cost:
    """What one pass over a batch costs in one way of running it.

    Attributes:
        seconds: the median.
        megabytes: beyond the weights and the batch, at the peak.
    """

    seconds: float
    megabytes: float


NO_ROOM = Cost(math.inf, math.inf)


@contextmanager
def as_it_is(forward: Forward) -> Iterator[Forward]:
    """A way that needs no change."""
    yield forward


def costs(prepare: Prepare, repeats: int) -> dict[str, Cost]:
    """Measure a subject in each of its ways.

    Each peak of memory has a process of its own, because a process keeps what it has once had; where passes are long, these are the
    first of the repeats. The others take turns in one process, so that their ratios mean something on a busy machine.

    Args:
        prepare: gives the subject; it is called in other processes, to which it must be possible to send it.
        repeats: measurements of each way.

    Returns:
        What a pass costs in each way, NO_ROOM where it does not fit into memory.

    Raises:
        NoRoomError: OURS does not fit.
    """
    ways, ours = apart(first_pass, prepare, OURS)
    first = {way: ours if way == OURS else cost_of_first(prepare, way) for way in ways}
    fitting = [way for way, cost in first.items() if cost != NO_ROOM]
    seconds = {way: [first[way].seconds] for way in fitting}
    if min(cost.seconds for cost in first.values()) < LONG_SECONDS:
        seconds = apart(short_passes, prepare, fitting, repeats)
    elif repeats > 1:
        more = apart(long_passes, prepare, fitting, repeats - 1)
        seconds = {way: seconds[way] + more[way] for way in fitting}
    measured = {way: Cost(median(seconds[way]), first[way].megabytes) for way in fitting}
    return {way: measured.get(way, NO_ROOM) for way in ways}


def cost_of_first(prepare: Prepare, way: str) -> Cost:
    """What a first pass costs in one way; NO_ROOM where it does not fit into memory."""
    try:
        cost: Cost = apart(first_pass, prepare, way)[1]
    except NoRoomError:
        return NO_ROOM
    return cost


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a fresh process.

    Raises:
        NoRoomError: there was too little memory on the device, or the process was killed, as it is for want of memory.
    """
    with ProcessPoolExecutor(1, mp_context=fresh_processes()) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except (BrokenProcessPool, torch.OutOfMemoryError) as error:
            raise NoRoomError(
                "a measurement ended for want of memory, or was killed: lower bench.batch_size."
            ) from error


@cache
def fresh_processes() -> BaseContext:
    """Processes that have imported what they need and done nothing else; where they can be had, forked off one that did it once."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(SUBJECTS))
    return context


def first_pass(prepare: Prepare, way: str) -> tuple[list[str], Cost]:
    """The ways of a subject, and what a first pass costs in one of them."""
    subject = prepare()
    ways = subject.ways()
    forget_peak(subject.device)
    before = memory(subject.device)
    with ways[way] as forward:
        seconds = timed(subject, forward, passes=1)
    return list(ways), Cost(seconds, memory(subject.device) - before)


def short_passes(prepare: Prepare, ways: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of a pass in each of some ways, many timed at once, after turns that warm up."""
    subject = prepare()
    passes = dict.fromkeys(ways, 1)
    for _ in range(WARM_UP_TURNS):
        passes = {way: math.ceil(LEAST_SECONDS / one) for way, (one,) in in_turn(subject, passes, 1).items()}
    return in_turn(subject, passes, repeats)


def long_passes(prepare: Prepare, ways: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of a pass in each of some ways, one at a time."""
    return in_turn(prepare(), dict.fromkeys(ways, 1), repeats)


def in_turn(subject: Subject, passes: Mapping[str, int], repeats: int) -> dict[str, list[float]]:
    """Seconds of one of some passes in each of some ways, the ways taking turns."""
    seconds: dict[str, list[float]] = {way: [] for way in passes}
    for _ in range(repeats):
        contexts = subject.ways()
        for way, count in passes.items():
            with contexts[way] as forward:
                seconds[way].append(timed(subject, forward, count))
    return seconds


def timed(subject: Subject, forward: Forward, passes: int) -> float:
    """Seconds of one of some passes."""
    synchronise(subject.device)
    start = time.perf_counter()
    for _ in range(passes):
        with torch.set_grad_enabled(subject.backward):
            features = forward(subject.inputs)
            if subject.backward:
                features.square().mean().backward()
        subject.module.zero_grad(set_to_none=True)
    synchronise(subject.device)
    return (time.perf_counter() - start) / passes


def synchronise(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


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
