"""Resizing feature maps to one grid, and splitting them into windows.

Shape letters: B batch, C channels, H W grid of a map, G side of the common grid, N tokens or windows, M cells of a
window.
"""

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Shrink = Literal["antialias", "unshuffle"]


def to_grid(features_BCHW: Tensor, grid: int, align_corners: bool = False, shrink: Shrink = "antialias") -> Tensor:
    """Resize a square map to side G = `grid`, by bilinear interpolation in float32.

    By default cell centres stay aligned, and shrinking is antialiased.

    Args:
        features_BCHW: the map.
        grid: G, the new side.
        align_corners: align the outermost cells instead, without antialiasing, as Eagle's released code does.
        shrink: with `unshuffle`, a map whose side is a multiple of G keeps all its cells, as channels (see
            `aligned_channels`).

    Returns:
        The map [B, C, G, G] in the input's precision; the input itself if its side is G already.
    """
    side = features_BCHW.shape[-1]
    if side == grid:
        return features_BCHW
    if shrink == "unshuffle" and side % grid == 0:
        return F.pixel_unshuffle(features_BCHW, side // grid)
    return interpolate(upcast(features_BCHW), (grid, grid), align_corners).to(features_BCHW.dtype)


def interpolate(features_BCHW: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Resize bilinearly to `size`, antialiased if the map shrinks and corners are not aligned."""
    antialias = features_BCHW.shape[-2] > size[0] and not align_corners
    return F.interpolate(features_BCHW, size, mode="bilinear", align_corners=align_corners, antialias=antialias)


def upcast(x: Tensor) -> Tensor:
    """Cast half precision to float32: it cannot represent positions and interpolation weights finely enough."""
    return x.float() if x.dtype.itemsize < 4 else x


def aligned_channels(channels: int, side: int, grid: int, shrink: Shrink) -> int:
    """Channels of a map with `channels` channels and side `side` after `to_grid`."""
    return channels * (side // grid) ** 2 if shrink == "unshuffle" and side % grid == 0 else channels


def to_tokens(features_BCGG: Tensor) -> Tensor:
    """Flatten a map into tokens [B, G*G, C], row by row."""
    return features_BCGG.flatten(2).transpose(1, 2)


def split_windows(features_BCHW: Tensor, window: int) -> Tensor:
    """Group the cells of a map by non-overlapping windows of side `window`.

    Returns:
        Cells [B, N, M, C] with M = window^2; windows and the cells of each are ordered row by row.
    """
    columns_split = torch.unflatten(features_BCHW, 3, (-1, window))
    # [B, C, rows of windows, rows in a window, columns of windows, columns in a window]
    split = torch.unflatten(columns_split, 2, (-1, window))
    return split.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)


def round_to_multiple(side: int, grid: int) -> int:
    """Round `side` to the nearest multiple of `grid`, at least `grid`, so that each grid cell covers a whole window."""
    return max(1, round(side / grid)) * grid


@cache
def interpolation_weights(side: int, to: int, align_corners: bool) -> Tensor:
    """Weights with which `to_grid` mixes cells along one dimension, [to, side], in float64 on the CPU.

    Interpolation is separable: a map is resized by one product with these weights for its rows and one for its columns.
    """
    identity = torch.eye(side, dtype=torch.float64)
    if side == to:
        return identity
    return interpolate(identity[None, None], (to, side), align_corners)[0, 0]
