"""What the experts share that are any backbone of a library."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from eaglebench.utils.errors import UserError, first_line


def repeated_blocks(network: nn.Module) -> Sequence[nn.Module]:
    """The outermost modules that a network repeats: the blocks of a transformer, the stages of a convolutional network; the network
    itself if it repeats nothing."""
    return inside(network) or [network]


def inside(module: nn.Module) -> list[nn.Module]:
    """What a module repeats, or else what its children do."""
    children = list(module.children())
    alike = len(children) > 1 and len({type(child) for child in children}) == 1
    if isinstance(module, (nn.ModuleList, nn.Sequential)) and alike and list(children[0].children()):
        return children
    return [block for child in children for block in inside(child)]


def check_map(name: str, encode: Callable[[Tensor], Tensor], side: int, stride: int) -> None:
    """Refuse a network that does not give the map that it promises for a square image.

    Raises:
        UserError: it gives another one, or none.
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
