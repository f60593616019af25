"""Bringing maps of different sides to one grid."""

import torch.nn.functional as F
from torch import Tensor


def to_grid(features_BCHW: Tensor, grid: int, align_corners: bool = False) -> Tensor:
    """The map resized to [B, C, grid, grid]: bilinear in float32, cell centres kept, antialiased when it shrinks.

    With `align_corners`, the outermost cells are kept instead, and nothing is antialiased, as in Eagle's released code.
    """
    side = features_BCHW.shape[-1]
    if side == grid:
        return features_BCHW
    smooth = side > grid and not align_corners
    resized = F.interpolate(
        features_BCHW.float(), (grid, grid), mode="bilinear", align_corners=align_corners, antialias=smooth
    )
    return resized.to(features_BCHW.dtype)


def to_tokens(features_BCGG: Tensor) -> Tensor:
    """Row-major tokens [B, G*G, C] of a map."""
    return features_BCGG.flatten(2).transpose(1, 2)
