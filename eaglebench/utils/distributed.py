"""The processes that train one model together, one per device: their ranks, and collectives over Python objects.

They are started from outside, all with the same command: by the local launcher, by torchrun, or as the tasks of a SLURM
job. A process that is started alone is the main process, and every collective returns its own value.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

Value = TypeVar("Value")
# The main process may wait for another run to finish a stage, which can take days.
OBJECT_TIMEOUT = timedelta(days=30)
TENSOR_TIMEOUT = timedelta(hours=2)  # the other processes wait while one writes a checkpoint of many GB

_object_group: dist.ProcessGroup | None = None


@contextmanager
def process_group(environment: ClusterEnvironment, backend: str) -> Iterator[None]:
    """A context in which the processes can reach each other; it does nothing for a process that is alone.

    Args:
        environment: the ranks, the number of processes and the address of the main one.
        backend: torch's name of the transport between devices, `nccl` or `gloo`.
    """
    global _object_group
    size = environment.world_size()
    if size == 1:
        yield
        return
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    if backend == "nccl":
        torch.cuda.set_device(environment.local_rank())
    dist.init_process_group(backend, rank=environment.global_rank(), world_size=size, timeout=TENSOR_TIMEOUT)
    group = dist.new_group(backend="gloo", timeout=OBJECT_TIMEOUT)
    assert isinstance(group, dist.ProcessGroup)  # a number stands for a group without this process
    _object_group = group
    try:
        yield
    except BaseException:
        _object_group = None  # not destroyed: that would wait for the other processes, which do not know of the error
        raise
    _object_group = None
    dist.destroy_process_group()


def is_distributed() -> bool:
    """Whether several processes train together."""
    return _object_group is not None


def is_main_process() -> bool:
    """Whether this is the process of rank 0, which alone logs and writes files; all processes hold the same weights."""
    return _object_group is None or dist.get_rank() == 0


def broadcast_from_main(compute: Callable[[], Value]) -> Value:
    """What `compute` returns in the main process, in every process; the others do not call it.

    An exception of the main process is raised in every process.
    """
    if _object_group is None:
        return compute()
    message: list[Any] = [None, None]  # value, exception
    if is_main_process():
        try:
            message[0] = compute()
        except Exception as error:
            message[1] = error
    dist.broadcast_object_list(message, 0, group=_object_group, device=torch.device("cpu"))
    if message[1] is not None:
        raise message[1]
    value: Value = message[0]
    return value


def all_gather(value: Value) -> list[Value]:
    """The values of all processes, by rank, in every process."""
    if _object_group is None:
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=_object_group)
    return values


def main_process_first(compute: Callable[[], Value]) -> Value:
    """What `compute` returns in each process. The others wait for the main one, and find the files that it wrote."""
    computed: list[Value] = []
    broadcast_from_main(lambda: computed.append(compute()))
    return computed[0] if computed else compute()
