"""Finds the first part of a network that produces NaN or Inf."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def first_nonfinite_part(network: nn.Module, parts: Mapping[str, nn.Module], batch: Any) -> str:
    """Run a batch through a network, and say in one clause where the first NaN or Inf comes from.

    Args:
        network: called with `batch`, without gradients.
        parts: modules of the network by name, in the order in which their weights are checked.
        batch: what the network takes.
    """
    for name, part in parts.items():
        if not all_finite(part.parameters()):
            return f"the weights of {name} have NaN or Inf"
    found: list[str] = []
    handles = [
        part.register_forward_hook(
            lambda module, inputs, output, name=name: (
                found.append(name) if not all_finite(iterate_tensors(output)) else None
            )
        )
        for name, part in parts.items()
    ]
    try:
        with torch.no_grad():
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return (
        f"{found[0]} is the first module that produces NaN or Inf" if found else "the output of every module is finite"
    )


def iterate_tensors(output: Any) -> Iterator[Tensor]:
    """The tensors in a module's output, in mappings, tuples and lists of any depth."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from iterate_tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from iterate_tensors(value)


def all_finite(values: Iterator[Tensor]) -> bool:
    """Whether no tensor has NaN or Inf."""
    return all(bool(value.isfinite().all()) for value in values)
