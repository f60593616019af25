"""Seconds and memory of several implementations of one computation, measured in processes of their own."""

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
from eaglebench.utils.processes import start_worker

OURS = "eaglebench"  # the implementation that the others are compared with
MIN_SECONDS = 0.2  # of a measurement
WARM_UP_ROUNDS = 2
LONG_SECONDS = 2.0  # a pass of this length needs no warm-up: what its first call adds is negligible
PEAK_RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")  # of Linux, see proc(5)
# Modules that a fresh process has imported already.
PRELOADED = ("eaglebench.profiling.bench.expert_subject", "eaglebench.profiling.bench.fusion_subject")

Forward = Callable[[Any], Tensor]
# By name; each gives its forward pass within its context.
Implementations = Mapping[str, AbstractContextManager[Forward]]


@dataclass(frozen=True)
class Subject:
    """A computation to measure.

    Attributes:
        module: holds the weights that all implementations share.
        inputs: of every implementation's forward pass.
        implementations: makes them by name, OURS among them.
        backward: whether the backward pass of all weights is measured too.
        device: by its name in torch.
    """

    module: nn.Module
    inputs: Any
    implementations: Callable[[], Implementations]
    backward: bool
    device: str


MakeSubject = Callable[[], Subject]


class TooLittleMemoryError(UserError):
    """A measurement did not fit into memory."""


@dataclass(frozen=True)
class PassCost:
    """The cost of one pass over a batch.

    Attributes:
        seconds: the median.
        megabytes: peak memory beyond the weights and the batch.
    """

    seconds: float
    megabytes: float


DOES_NOT_FIT = PassCost(math.inf, math.inf)


@contextmanager
def use_unchanged(forward: Forward) -> Iterator[Forward]:
    """An implementation that needs no changes to the module within its context."""
    yield forward


def measure_costs(make_subject: MakeSubject, repeats: int) -> dict[str, PassCost]:
    """Measure each implementation of a subject.

    Each peak of memory is measured in a process of its own, because a process keeps memory that it once had. Where
    passes are long, these passes are the first of the repeats. The others take turns in one process, so that their
    ratios mean something on a busy machine.

    Args:
        make_subject: is pickled and called in other processes.
        repeats: measurements of each implementation.

    Returns:
        The cost of a pass by implementation, DOES_NOT_FIT where it needs more memory than there is.

    Raises:
        TooLittleMemoryError: OURS does not fit.
    """
    names, ours = in_fresh_process(measure_first_pass, make_subject, OURS)
    first = {name: ours if name == OURS else measure_if_it_fits(make_subject, name) for name in names}
    fitting = [name for name, cost in first.items() if cost != DOES_NOT_FIT]
    seconds = {name: [first[name].seconds] for name in fitting}
    if min(cost.seconds for cost in first.values()) < LONG_SECONDS:
        seconds = in_fresh_process(time_short_passes, make_subject, fitting, repeats)
    elif repeats > 1:
        more = in_fresh_process(time_long_passes, make_subject, fitting, repeats - 1)
        seconds = {name: seconds[name] + more[name] for name in fitting}
    measured = {name: PassCost(median(seconds[name]), first[name].megabytes) for name in fitting}
    return {name: measured.get(name, DOES_NOT_FIT) for name in names}


def measure_if_it_fits(make_subject: MakeSubject, name: str) -> PassCost:
    """The cost of a first pass of one implementation; DOES_NOT_FIT where there is too little memory."""
    try:
        cost: PassCost = in_fresh_process(measure_first_pass, make_subject, name)[1]
    except TooLittleMemoryError:
        return DOES_NOT_FIT
    return cost


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a new process.

    Raises:
        TooLittleMemoryError: the device had too little memory, or the process was killed, as Linux does then.
    """
    with ProcessPoolExecutor(1, fresh_process_context(), start_worker) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except (BrokenProcessPool, torch.OutOfMemoryError) as error:
            raise TooLittleMemoryError(
                "a measurement ran out of memory, or was killed: lower bench.batch_size."
            ) from error


@cache
def fresh_process_context() -> BaseContext:
    """Starts processes that have imported PRELOADED and done nothing else.

    Where possible, they are forked from one process that has imported it once.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def measure_first_pass(make_subject: MakeSubject, name: str) -> tuple[list[str], PassCost]:
    """The names of a subject's implementations, and the cost of a first pass of one of them."""
    subject = make_subject()
    implementations = subject.implementations()
    reset_peak(subject.device)
    before = peak_megabytes(subject.device)
    with implementations[name] as forward:
        seconds = time_passes(subject, forward, passes=1)
    return list(implementations), PassCost(seconds, peak_megabytes(subject.device) - before)


def time_short_passes(make_subject: MakeSubject, names: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of a pass by implementation, `repeats` times; each is the mean of enough passes, after a warm-up."""
    subject = make_subject()
    passes = dict.fromkeys(names, 1)
    for _ in range(WARM_UP_ROUNDS):
        passes = {name: math.ceil(MIN_SECONDS / one) for name, (one,) in time_in_turn(subject, passes, 1).items()}
    return time_in_turn(subject, passes, repeats)


def time_long_passes(make_subject: MakeSubject, names: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of a pass by implementation, `repeats` times; each of a single pass."""
    return time_in_turn(make_subject(), dict.fromkeys(names, 1), repeats)


def time_in_turn(subject: Subject, passes: Mapping[str, int], repeats: int) -> dict[str, list[float]]:
    """Seconds of a pass by implementation, `repeats` times, the implementations taking turns.

    Args:
        passes: how many passes a measurement is the mean of, by implementation.
    """
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(repeats):
        implementations = subject.implementations()
        for name, count in passes.items():
            with implementations[name] as forward:
                seconds[name].append(time_passes(subject, forward, count))
    return seconds


def time_passes(subject: Subject, forward: Forward, passes: int) -> float:
    """Mean seconds of a pass over so many passes."""
    synchronise(subject.device)
    start = time.perf_counter()
    for _ in range(passes):
        with torch.set_grad_enabled(subject.backward):
            features = forward(subject.inputs)
            if subject.backward:
                features.square().mean().backward()  # type: ignore[no-untyped-call]
        subject.module.zero_grad(set_to_none=True)
    synchronise(subject.device)
    return (time.perf_counter() - start) / passes


def synchronise(device: str) -> None:
    """Wait until the device has computed everything that was launched."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def reset_peak(device: str) -> None:
    """Set the peak memory to what is held now.

    On a CPU this works on Linux only; elsewhere the peak stays that of the whole process.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    elif PEAK_RESET.exists():
        PEAK_RESET.write_text("5")


def peak_megabytes(device: str) -> float:
    """The peak memory so far, in MB: of the GPU, or of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    if STATUS.exists():
        (peak,) = (line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10  # macOS counts bytes, others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
