"""The peak memory of tensors, counted as they come and go; fake tensors, which have only shapes, count too."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages that operations create within its context.

    torch's own MemTracker walks all modules after each operation, which takes minutes for a model of full size.

    Args:
        held: tensors that exist before.

    Attributes:
        now: bytes that are held.
        peak: the most bytes that were held at a time.
    """

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self.storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        for tensor in held:
            self.add(tensor)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self.add(value)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count the storage of a tensor until it is freed, once however many views it has."""
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self.storages:
            return

        def forget(_: Any) -> None:
            del self.storages[key]
            self.now -= size

        self.storages[key] = weakref.ref(storage, forget)
        self.now += size
        self.peak = max(self.peak, self.now)
