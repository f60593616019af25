"""Square windows of a map, for attention that stays inside them. Shape letters as in base.py; M window side, n windows."""

import torch.nn.functional as F
from torch import Tensor


def in_windows(x_BHWC: Tensor, window: int) -> Tensor:
    """The windows [B * n, M, M, C] of a square map, row by row; zeros fill it up to whole windows at the right and the bottom."""
    batch, grid, _, channels = x_BHWC.shape
    missing = -grid % window
    if missing:
        x_BHWC = F.pad(x_BHWC, (0, 0, 0, missing, 0, missing))
    across = (grid + missing) // window
    return (
        x_BHWC.view(batch, across, window, across, window, channels)
        .transpose(2, 3)
        .reshape(batch * across**2, window, window, channels)
    )


def out_of_windows(windows_nMMC: Tensor, window: int, grid: int) -> Tensor:
    """The map [B, grid, grid, C] of its windows, without what filled it up."""
    across = -(-grid // window)
    x = windows_nMMC.view(-1, across, across, window, window, windows_nMMC.shape[-1]).transpose(2, 3)
    return x.reshape(len(x), across * window, across * window, -1)[:, :grid, :grid]
