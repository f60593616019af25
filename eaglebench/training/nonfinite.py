"""Where numbers stop being numbers: which part of a network is the first to give none."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def unfinished(network: nn.Module, parts: Mapping[str, nn.Module], batch: Any) -> str:
    """What is not finite in the pass of a batch, as words: a part's weights, or what the first of the parts gives."""
    for name, part in parts.items():
        if not finite(part.parameters()):
            return f"the weights of {name} are not finite"
    seen: list[str] = []
    handles = [
        part.register_forward_hook(
            lambda module, inputs, output, name=name: seen.append(name) if not finite(tensors(output)) else None
        )
        for name, part in parts.items()
    ]
    try:
        with torch.no_grad():
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return f"{seen[0]} is the first part to give no finite numbers" if seen else "every part gives finite numbers"


def tensors(output: Any) -> Iterator[Tensor]:
    """The tensors in what a module gives."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from tensors(value)


def finite(values: Iterator[Tensor]) -> bool:
    """Whether all numbers are."""
    return all(bool(value.isfinite().all()) for value in values)
