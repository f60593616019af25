"""Bringing maps of different sides to one grid."""

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Shrink = Literal["antialias", "unshuffle"]


def to_grid(features_BCHW: Tensor, grid: int, align_corners: bool = False, shrink: Shrink = "antialias") -> Tensor:
    """The map on another grid: bilinear in float32, cell centres kept, antialiased when it shrinks, [B, C, grid, grid].

    With `align_corners`, the outermost cells are kept instead, and nothing is antialiased, as in Eagle's released code. With
    `shrink=unshuffle`, a map whose side is a multiple of the grid keeps all its cells, as channels (see `aligned_channels`).
    """
    side = features_BCHW.shape[-1]
    if side == grid:
        return features_BCHW
    if shrink == "unshuffle" and side % grid == 0:
        return F.pixel_unshuffle(features_BCHW, side // grid)
    return interpolated(precise(features_BCHW), (grid, grid), align_corners).to(features_BCHW.dtype)


def interpolated(features_BCHW: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Bilinear, with antialias when it shrinks and corners are not aligned."""
    smooth = features_BCHW.shape[-2] > size[0] and not align_corners
    return F.interpolate(features_BCHW, size, mode="bilinear", align_corners=align_corners, antialias=smooth)


def precise(x: Tensor) -> Tensor:
    """In float32 at least: places and their weights are too fine for half precision."""
    return x.float() if x.dtype.itemsize < 4 else x


def aligned_channels(channels: int, side: int, grid: int, shrink: Shrink) -> int:
    """Channels of a map after `to_grid`."""
    return channels * (side // grid) ** 2 if shrink == "unshuffle" and side % grid == 0 else channels


def to_tokens(features_BCGG: Tensor) -> Tensor:
    """Row-major tokens [B, G*G, C] of a map."""
    return features_BCGG.flatten(2).transpose(1, 2)


def in_windows(features_BCHW: Tensor, window: int) -> Tensor:
    """The cells [B, N, M, C] of a map by the window of `window` x `window` that they lie in, both row by row."""
    split = features_BCHW.unflatten(3, (-1, window)).unflatten(
        2, (-1, window)
    )  # rows and columns of windows, and of cells
    return split.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)


def whole_multiple(side: int, grid: int) -> int:
    """The multiple of the grid that is nearest to a side, and at least the grid: windows of a map of that side are whole."""
    return max(1, round(side / grid)) * grid


@cache
def weights_along(side: int, to: int, align_corners: bool) -> Tensor:
    """How `to_grid` mixes the cells of one dimension: weights [to, side], in float64 on the CPU. Any map is resized by two products with them."""
    identity = torch.eye(side, dtype=torch.float64)
    if side == to:
        return identity
    return interpolated(identity[None, None], (to, side), align_corners)[0, 0]
