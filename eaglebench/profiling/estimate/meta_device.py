"""Networks without weights: only their shapes, so that a model of any size is built in a second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers.initialization import no_init_weights

# What weights are made with. Not `arange` and `linspace`: constructors read the numbers of small tables.
MAKERS = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}


class OnMeta(TorchFunctionMode):
    """Weights are made on torch's device without memory."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in MAKERS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


@contextmanager
def sketching() -> Iterator[None]:
    """Within it, networks are built without weights, and nothing is drawn at random for them."""
    with OnMeta(), no_init_weights():
        yield
