"""The processes that train one model together, one for each device: who is who, and how they agree.

They are started from outside, all with the same command: by `launch`, by torchrun, or as the tasks of a SLURM job.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import ClusterEnvironment

Given = TypeVar("Given")
# One of them may wait for another run to finish a stage, for days.
PATIENCE = timedelta(days=30)
EXCHANGE = timedelta(hours=2)  # while one of them writes a checkpoint of many GB, the others wait

_agreeing: dist.ProcessGroup | None = None


@contextmanager
def joined(where: ClusterEnvironment, backend: str) -> Iterator[None]:
    """Within it, the processes know each other. `backend` is torch's name of how their devices talk."""
    global _agreeing
    size = where.world_size()
    if size == 1:
        yield
        return
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = where.main_address, str(where.main_port)
    if backend == "nccl":
        torch.cuda.set_device(where.local_rank())
    dist.init_process_group(backend, rank=where.global_rank(), world_size=size, timeout=EXCHANGE)
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(group, dist.ProcessGroup)  # a number stands for a group without this process
    _agreeing = group
    try:
        yield
    except BaseException:
        _agreeing = None  # the group is left as it is: to take leave of the others, they would have to listen
        raise
    _agreeing = None
    dist.destroy_process_group()


def several() -> bool:
    """Whether this process is one of several."""
    return _agreeing is not None


def leads() -> bool:
    """Whether this process is the one that speaks and writes; every other one has the same weights."""
    return _agreeing is None or dist.get_rank() == 0


def agreed(answer: Callable[[], Given]) -> Given:
    """What `answer` gives in the leading process, in every one. Its exception is every one's."""
    if _agreeing is None:
        return answer()
    told: list[Any] = [None, None]
    if leads():
        try:
            told[0] = answer()
        except Exception as error:
            told[1] = error
    dist.broadcast_object_list(told, 0, group=_agreeing, device=torch.device("cpu"))
    if told[1] is not None:
        raise told[1]
    return told[0]


def gathered(own: Given) -> list[Given]:
    """What each process has, in all of them."""
    if _agreeing is None:
        return [own]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, own, group=_agreeing)
    return found


def one_after_another(do: Callable[[], Given]) -> Given:
    """What `do` gives in each process, the leading one first: what it leaves on the disk serves the others."""
    kept: list[Given] = []
    agreed(lambda: kept.append(do()))
    return kept[0] if kept else do()
