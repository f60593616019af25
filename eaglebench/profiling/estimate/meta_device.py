"""Building networks without weights: they have only shapes, so that a model of any size is built in a second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers.initialization import no_init_weights

# What makes weights. Not `arange` and `linspace`: constructors read the values of small tables.
WEIGHT_FUNCTIONS = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}


class WeightsOnMeta(TorchFunctionMode):
    """Creates tensors of WEIGHT_FUNCTIONS on torch's meta device, unless the caller names a device."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in WEIGHT_FUNCTIONS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


@contextmanager
def on_meta_device() -> Iterator[None]:
    """Build networks without weights within this context, and draw no random numbers for them."""
    with WeightsOnMeta(), no_init_weights():
        yield
