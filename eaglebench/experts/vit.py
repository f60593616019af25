"""Vision transformers as experts: the map after each of their blocks can be changed from outside, by block hooks."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from eaglebench.experts.base import VisionExpert, tokens_to_map

# By the number of a block, counted from 1: a function of the map [B, C, H, W] after it, whose result replaces the map.
BlockHooks = Mapping[int, Callable[[Tensor], Tensor]]


class VisionTransformer(VisionExpert):
    """An expert whose blocks all work on one grid of patches.

    Subclasses implement `encode_with_hooks` instead of `encode`. A fusion that adapts the base encoder from the inside
    (LLaVA-HR) calls `forward(pixels, block_hooks)`.

    Attributes:
        block_map: channels C and side H = W of the map between the blocks.
    """

    block_map: tuple[int, int]

    @abstractmethod
    def encode_with_hooks(self, pixels_B3SS: Tensor, block_hooks: BlockHooks) -> Tensor:
        """The native map [B, C, H, W] of normalised pixels [B, 3, S, S], with hooks applied after their blocks."""

    def encode(self, pixels_B3SS: Tensor) -> Tensor:
        return self.encode_with_hooks(pixels_B3SS, {})

    def forward(self, pixels_B3SS: Tensor, block_hooks: BlockHooks | None = None) -> Tensor:
        """The feature map [B, channels, grid, grid] of normalised pixels [B, 3, S, S], in the precision of the pixels.

        Hooks see and return maps in the precision of the weights.
        """
        features_BCHW = self.encode_with_hooks(self.cast_input(pixels_B3SS), block_hooks or {})
        return self.finish_map(features_BCHW, pixels_B3SS.dtype)


def apply_block_hook(number: int, block_hooks: BlockHooks, x_BNC: Tensor, prefix: int = 0) -> Tensor:
    """Tokens [B, N, C] after block `number`, with its hook applied, if it has one.

    The first `prefix` tokens (class and register tokens) are no patches; the hook does not see them.
    """
    if number not in block_hooks:
        return x_BNC
    changed_BCHW = block_hooks[number](tokens_to_map(x_BNC[:, prefix:]))
    return torch.cat([x_BNC[:, :prefix], changed_BCHW.flatten(2).transpose(1, 2)], dim=1)


def apply_block_hook_BHWC(number: int, block_hooks: BlockHooks, x_BHWC: Tensor) -> Tensor:
    """A map [B, H, W, C] after block `number`, with its hook applied, if it has one."""
    if number not in block_hooks:
        return x_BHWC
    return block_hooks[number](x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
