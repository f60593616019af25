"""Vision transformers as experts: what comes out of their blocks can be changed from outside."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from eaglebench.experts.base import VisionExpert, tokens_to_map

# What the map [B, C, H, W] after a block, by the block's number from 1, is replaced with.
After = Mapping[int, Callable[[Tensor], Tensor]]


class VisionTransformer(VisionExpert):
    """An expert whose blocks all work on one grid of patches.

    Subclasses encode in `encode_with`. Where a fusion adapts the base encoder from the inside (LLaVA-HR), it does so through
    `forward(pixels, after)`.

    Attributes:
        block_map: channels C and side H = W of the map between the blocks.
    """

    block_map: tuple[int, int]

    @abstractmethod
    def encode_with(self, pixels_B3SS: Tensor, after: After) -> Tensor:
        """`encode`, with the map after each block whose number is in `after` replaced by what that makes of it."""

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        return self.encode_with(pixels_B3SS, {})

    def forward(self, pixels_B3SS: Tensor, after: After | None = None) -> Tensor:
        """As of every expert; with `after`, see `encode_with`."""
        return self.finished(self.encode_with(self.started(pixels_B3SS), after or {}), pixels_B3SS.dtype)


def after_block(number: int, after: After, x_BNC: Tensor, prefix: int = 0) -> Tensor:
    """Tokens after a block, of which those past the `prefix` (class and register tokens) are the patches."""
    if number not in after:
        return x_BNC
    changed = after[number](tokens_to_map(x_BNC[:, prefix:]))
    return torch.cat([x_BNC[:, :prefix], changed.flatten(2).transpose(1, 2)], dim=1)


def after_block_BHWC(number: int, after: After, x_BHWC: Tensor) -> Tensor:
    """A map with its channels last after a block."""
    if number not in after:
        return x_BHWC
    return after[number](x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
