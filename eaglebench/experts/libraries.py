"""What the experts share that are any backbone of a library."""

from collections.abc import Sequence

from torch import nn


def repeated_blocks(network: nn.Module) -> Sequence[nn.Module]:
    """The outermost modules that a network repeats: the blocks of a transformer, the stages of a convolutional network."""
    for module in network.modules():
        children = list(module.children())
        alike = len(children) > 1 and len({type(child) for child in children}) == 1
        if isinstance(module, (nn.ModuleList, nn.Sequential)) and alike and list(children[0].children()):
            return children
    return [network]
