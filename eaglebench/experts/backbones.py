"""Helpers shared by the experts that wrap any backbone of a library: timm, open_clip, transformers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from eaglebench.utils.errors import UserError, first_line


def find_blocks(network: nn.Module) -> Sequence[nn.Module]:
    """The outermost modules that a network repeats: the blocks of a transformer, or of the stages of a CNN.

    A network that repeats nothing counts as one block.
    """
    return find_repeated(network) or [network]


def find_repeated(module: nn.Module) -> list[nn.Module]:
    """A module's children if they are of one class and have children themselves, or else what its children repeat."""
    children = list(module.children())
    alike = len(children) > 1 and len({type(child) for child in children}) == 1
    if isinstance(module, (nn.ModuleList, nn.Sequential)) and alike and list(children[0].children()):
        return children
    return [block for child in children for block in find_repeated(child)]


def check_map(name: str, encode: Callable[[Tensor], Tensor], side: int, stride: int) -> None:
    """Check that a network turns an image [1, 3, side, side] into one cell for every `stride` pixels.

    Raises:
        UserError: it gives another map, or none.
    """
    try:
        with torch.no_grad():
            shape = tuple(encode(torch.zeros(1, 3, side, side)).shape[2:])
    except (RuntimeError, ValueError, AssertionError, AttributeError, TypeError) as error:
        raise UserError(
            f"{name} gives no map of an image of {side} px ({first_line(error)}): try another image_size."
        ) from error
    if shape != (side // stride, side // stride):
        raise UserError(f"{name} gives a map of {shape} of an image of {side} px, and not one cell for {stride} px.")
